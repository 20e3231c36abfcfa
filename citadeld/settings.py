"""What citadeld can be told."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator, model_validator

from artemon.daemon.address import address_text, split_address
from artemon.daemon.identity_options import JOIN_PORT_OFFSET, MACHINE_PORT_OFFSET
from artemon.daemon.settings import Settings
from artemon.errors import ArtemonError
from artemon.pki.keys import KeyType
from artemon.pki.spiffe import check_trust_domain
from citadeld.names import Names

MAX_SOCKET_PATH = 100
OWN = "own:"


class CitadelSettings(Settings):
    """The settings of citadeld."""

    data_dir: Path = Field(Path("/var/lib/artemon/citadeld"), description="Keys and the audit log (0700).")
    registry: str = Field("sqlite:///var/lib/artemon/mesh.db", description="URL of the registry.")
    mesh: str = Field("default", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", description="Name of the mesh.")
    trust_domain: str = Field("cluster.local", description="SPIFFE trust domain.")
    listen: str = Field("127.0.0.1:15013", description="Address for callers with a client certificate.")
    join_listen: str = Field(
        "", description="Address for callers with a join token; by default the port of --listen plus 3."
    )
    machine_listen: str = Field(
        "",
        description="Address for machines with a certificate of an attestor x509:; by default the port of "
        "--listen plus 5.",
    )
    attest_socket: str = Field(
        "",
        description="Unix socket (0666) where an attestor unix: knows the processes of this machine; its "
        "directory must be open to them, and to citadeld alone for writing.",
    )
    attestors: tuple[str, ...] = Field(
        ("certificate:", "token:"),
        description="Who finds out who callers are: certificate:, token:, jwt+https://ISSUER?audience=A, "
        "x509:FILE, unix:.",
    )
    clusters: tuple[str, ...] = Field(
        (),
        description="Clusters whose namespaces are told whom to trust: kubernetes:///KUBECONFIG?name=NAME, "
        "or kubernetes://in-cluster.",
    )
    config_keys_file: str = Field(
        "", description="File with public keys of galleyd that count, base64; empty: those that it endorses."
    )
    socket: Path = Field(
        Path("/run/artemon/citadeld.sock"), description="Unix socket (0600) for operators on this machine."
    )
    names: tuple[str, ...] = Field(
        ("localhost", "127.0.0.1", "::1"),
        description="DNS names and IPs in the certificates of daemons: NAME for all, or DAEMON=NAME.",
    )
    leaf_seconds: int = Field(3600, ge=10, le=86400, description="Lifetime of certificates.")
    intermediate_days: float = Field(30, gt=0, le=365, description="Lifetime of this replica's intermediate.")
    key_type: KeyType = Field("p256", description="Of intermediates: p256, p384 or rsa2048.")
    root_key_type: KeyType = Field("p384", description="Of roots that citadeld makes: p256, p384 or rsa2048.")
    key_encryption: str = Field(
        "",
        description="What keys of authorities are encrypted with on disk: a file (0600), or credential:NAME "
        "of systemd; lines of 32 random characters or more, the first encrypts. Empty: they are not.",
    )
    authority: str = Field(
        OWN, description="Who signs intermediates: own: (a root in data_dir), or files:DIRECTORY."
    )
    root_days: float = Field(3650, gt=0, le=7300, description="Lifetime of a root that citadeld makes.")
    rotation_dwell_seconds: float = Field(
        120,
        ge=0,
        le=86400,
        description="How long a phase of a root rotation lasts at least, so that daemons learn of it.",
    )
    signing_key_days: float = Field(
        90.0, gt=0, description="Age at which the key that signs values in the registry is changed."
    )
    token_seconds: int = Field(600, ge=1, le=86400, description="Lifetime of join tokens by default.")

    @field_validator("trust_domain")
    @classmethod
    def _trust_domain(cls, value: str) -> str:
        try:
            return check_trust_domain(value)
        except ArtemonError as error:
            raise ValueError(str(error)) from error

    @model_validator(mode="after")
    def _addresses(self) -> CitadelSettings:
        try:
            split_address(self.listen)
            split_address(self.join_address)
            split_address(self.machine_address)
            Names.parse(self.names)
        except ArtemonError as error:
            raise ValueError(str(error)) from error
        if any(one.startswith("unix:") for one in self.attestors) != bool(self.attest_socket):
            raise ValueError("attest_socket: is for an attestor unix:, which needs it")
        if len(self.attest_socket) > MAX_SOCKET_PATH:
            raise ValueError(f"attest_socket: the path has more than {MAX_SOCKET_PATH} characters")
        if len(str(self.socket)) > MAX_SOCKET_PATH:
            raise ValueError(f"socket: the path has more than {MAX_SOCKET_PATH} characters")
        return self

    @property
    def join_address(self) -> str:
        """Where join tokens are taken."""
        return self.join_listen or self._beside(JOIN_PORT_OFFSET)

    @property
    def machine_address(self) -> str:
        """Where certificates of machines are taken."""
        return self.machine_listen or self._beside(MACHINE_PORT_OFFSET)

    def _beside(self, offset: int) -> str:
        host, port = split_address(self.listen)
        return address_text(host, port + offset)

    @property
    def prefix(self) -> str:
        """Where this mesh's trust lies in the registry."""
        return f"artemon/{self.mesh}/"
