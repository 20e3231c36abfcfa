"""What pilotd can be told."""

from __future__ import annotations

from pydantic import Field

from artemon.daemon.identity_options import IdentitySettings


class PilotdSettings(IdentitySettings):
    """The settings of pilotd."""

    registry: str = Field(
        "sqlite:///var/lib/artemon/mesh.db",
        description="URL of the registry: sqlite:///FILE or etcd://HOSTS.",
    )
    mesh: str = Field("default", description="Name of the mesh in the registry.")
    domain: str = Field("cluster.local", description="DNS domain of the mesh.")
    data_dir: str = Field(
        "/var/lib/artemon/pilotd", description="Directory (0700) of what is known across restarts."
    )
    listen: str = Field("127.0.0.1:15012", description="Address for xDS over mutual TLS.")
    socket: str = Field("", description="Unix socket (0600) of the debug pages; empty: none.")
    streams_per_node: int = Field(4, ge=1, description="Streams that one proxy may have at once.")
    streams_per_identity: int = Field(
        1000, ge=1, description="Streams that all proxies of one service account may have at once."
    )
    secrets_key_file: str = Field(
        "", description="File (0600) of the keys that Secrets are encrypted with, the same as galleyd's."
    )
    lease_ttl: float = Field(
        15.0, ge=2, description="Seconds that records of proxies outlive a pilotd that died."
    )
