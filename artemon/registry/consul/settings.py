"""How Consul's catalog is reached and read."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from artemon.model.service import Protocol
from artemon.registry.api import RegistrySettings

PORT = 8500


class ConsulSettings(RegistrySettings):
    """The query of a `consul://` URL."""

    ca: Path | None = Field(None, description="PEM file of the authority of the agents' certificates.")
    cert: Path | None = Field(None, description="PEM file of the client certificate.")
    key: Path | None = Field(None, description="PEM file of its key.")
    token_file: Path | None = Field(
        None, description="File of the ACL token; read again when it changes. service:read, node:read."
    )
    insecure: bool = Field(False, description="Allow plaintext to other machines.")
    datacenter: str = Field("", description="Datacenter to read; the agent's own when empty.")
    suffix: str = Field("service.consul", description="Services are called <name>.<suffix>.")
    namespace: str = Field("default", description="Namespace of services that name none.")
    namespace_meta: str = Field("namespace", description="Key of service metadata that names the namespace.")
    tag: str = Field("", description="Take only instances with this tag.")
    meta: str = Field("", description="Take only instances with this service metadata: key=value.")
    protocol: str = Field("", description="Protocol of ports that name none; sniffed when empty.")
    port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Port under which clients ask for every service (where instances have ports of their own,"
        " as under Nomad); 0: the ports of the instances.",
    )
    address: Literal["service", "lan", "wan"] = Field(
        "service", description="Which address is used: the service's or its node's, or their tagged ones."
    )
    wait: float = Field(55.0, ge=1, le=600, description="Seconds that a blocking query may wait.")
    timeout: float = Field(5.0, gt=0, description="Seconds that any other query may take.")
    proof: float = Field(20.0, ge=0.5, description="Seconds between two proofs that the view is current.")
    watches: int = Field(
        180,
        ge=1,
        description="Services watched with a blocking query each; more are asked for in turn. An agent allows"
        " 200 connections of one client (limits.http_max_conns_per_client).",
    )

    export: str = Field(
        "", description="Namespaces whose services are shown in Consul's catalog, comma-separated; *: all."
    )
    export_name: str = Field(
        "{service}-{namespace}", description="What an exported service is called in Consul."
    )
    export_node: str = Field("", description="Node of the exported services; artemon-<mesh> when empty.")
    tag_hosts: bool = Field(
        False, description="Whether instances with a tag are a host of their own, <tag>.<name>.<suffix>."
    )

    @field_validator("export_name")
    @classmethod
    def _names_service(cls, value: str) -> str:
        try:
            names = {value.format(service=one, namespace="n") for one in "ab"}
        except (LookupError, ValueError) as error:
            raise ValueError(f'"{value}" may have {{service}} and {{namespace}} alone') from error
        if len(names) < 2:
            raise ValueError(f'"{value}" must have {{service}}')
        return value

    @field_validator("protocol")
    @classmethod
    def _is_known(cls, value: str) -> str:
        try:
            return Protocol.parse(value).value
        except ValueError as error:
            raise ValueError(f'"{value}" is not a protocol; try http, http2, grpc, tls or tcp') from error

    @field_validator("meta")
    @classmethod
    def _is_pair(cls, value: str) -> str:
        if value and "=" not in value:
            raise ValueError(f'"{value}" must be key=value')
        return value
