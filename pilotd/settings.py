"""What pilotd can be told."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Literal

from pydantic import Field, field_validator

from artemon.daemon.address import split_address
from artemon.daemon.identity_options import IdentitySettings
from artemon.errors import ArtemonError


class PilotdSettings(IdentitySettings):
    """The settings of pilotd."""

    registry: str = Field(
        "sqlite:///var/lib/artemon/mesh.db",
        description="URL of the registry: sqlite:///FILE, etcd://HOSTS or consul://HOSTS.",
    )
    registries: tuple[str, ...] = Field(
        (), description="URLs of other registries whose services join the mesh, as consul://127.0.0.1:8500."
    )
    mesh: str = Field("default", description="Name of the mesh in the registry.")
    domain: str = Field("cluster.local", description="DNS domain of the mesh.")
    data_dir: str = Field(
        "/var/lib/artemon/pilotd", description="Directory (0700) of what is known across restarts."
    )
    listen: str = Field("127.0.0.1:15012", description="Address for xDS over mutual TLS.")
    plaintext_listen: str = Field(
        "", description="Loopback address for xDS without TLS, for clients on this machine; empty: none."
    )
    socket: str = Field("", description="Unix socket (0600) of the debug pages; empty: none.")
    streams_per_node: int = Field(4, ge=1, description="Streams that one proxy may have at once.")
    streams_per_grpc_node: int = Field(
        100, ge=1, description="Streams that one proxyless gRPC process may have at once: one per target."
    )
    streams_per_identity: int = Field(
        1000, ge=1, description="Streams that all proxies of one service account may have at once."
    )
    secrets_key_file: str = Field(
        "",
        description="File (0600), or credential:NAME of systemd, of the keys that encrypt Secrets, "
        "the same as galleyd's.",
    )
    config_signatures: Literal["required", "off"] = Field(
        "required", description="Whether configuration must be signed by galleyd; off trusts the registry."
    )
    config_keys_file: str = Field(
        "",
        description="File of galleyd's public signing keys (signing.pub); empty: those it endorses.",
    )
    trust_signatures: Literal["required", "off"] = Field(
        "required", description="Whether roots and revocations must be signed by citadeld; off: for upgrades."
    )
    jwks_refresh: float = Field(300.0, gt=0, description="Seconds between fetches of a jwksUri.")
    jwks_keep: float = Field(
        3600.0, gt=0, description="Seconds that fetched keys count while their jwksUri cannot be read."
    )
    jwks_allow: str = Field(
        "",
        description="Hosts of jwksUri, comma-separated, that may be on this machine or a port of the mesh.",
    )
    lease_ttl: float = Field(
        15.0, ge=2, description="Seconds that records of proxies outlive a pilotd that died."
    )

    @field_validator("plaintext_listen")
    @classmethod
    def _is_loopback(cls, value: str) -> str:
        """Whoever reaches this port reads the mesh's configuration, so nobody else may."""
        if not value:
            return value
        try:
            inside = ip_address(split_address(value)[0]).is_loopback
        except (ArtemonError, ValueError):
            inside = False
        if not inside:
            raise ValueError(
                f'"{value}" is not a loopback address such as 127.0.0.1:15010; without TLS nobody else is '
                "served (use `listen`, which is mutual TLS)"
            )
        return value
