"""Where things of a mesh on one machine are: files below one folder, addresses in one loopback network."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from meshctl.context import home_folder

CONTROL_PLANE = ("citadeld", "galleyd", "pilotd", "mixerd")
HEALTH_PORTS = {"citadeld": 15113, "galleyd": 15114, "pilotd": 15112, "mixerd": 15104}
SOCKET_PATH_LIMIT = 80
"""Longest run directory that leaves room for socket names below the 108 bytes of sun_path (unix(7))."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths and addresses. folder: all that is kept. network: where all listeners are."""

    folder: Path
    network: IPv4Network

    def host(self, number: int) -> str:
        """The address of an instance; 1 is the control plane's."""
        return str(IPv4Address(int(self.network.network_address) + number))

    @property
    def control(self) -> str:
        """The address that the daemons listen on."""
        return self.host(1)

    @property
    def registry(self) -> str:
        """URL of the embedded registry."""
        return f"sqlite://{self.folder / 'mesh.db'}"

    @property
    def server(self) -> str:
        """URL of galleyd."""
        return f"https://{self.control}:15014"

    @property
    def roots(self) -> Path:
        """The roots that everybody pins."""
        return self.folder / "root-cert.pem"

    @property
    def admin_token(self) -> Path:
        """The operator's bearer token for galleyd."""
        return self.folder / "admin.token"

    @property
    def secrets_key(self) -> Path:
        """What Secrets in the registry are encrypted with; galleyd and pilotd share it."""
        return self.folder / "secrets.key"

    def data(self, name: str) -> Path:
        """What daemon or proxy `name` keeps."""
        return self.folder / name

    def config(self, name: str) -> Path:
        """The settings of daemon or proxy `name`."""
        return self.folder / "etc" / f"{name}.yaml"

    def token(self, name: str) -> Path:
        """The one-time join token of `name`."""
        return self.folder / "tokens" / name

    def log(self, name: str) -> Path:
        """Where `name` logs."""
        return self.folder / "log" / f"{name}.log"

    def run(self, name: str) -> Path:
        """Sockets and pid files of `name`; below the temporary directory where `folder` is too deep."""
        local = self.folder / "run"
        if len(os.fsencode(local)) > SOCKET_PATH_LIMIT:
            mark = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:12]
            local = Path(tempfile.gettempdir()) / f"artemon-{os.getuid()}-{mark}"
        return local / name

    @property
    def citadeld_socket(self) -> Path:
        """citadeld's socket for operators on this machine."""
        return self.run("citadeld") / "citadeld.sock"


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of the sample, or the gateway. number: its host in the network."""

    name: str
    number: int
    service: str
    version: str = "v1"
    namespace: str = "bookinfo"
    account: str = ""
    role: str = "sidecar"

    @property
    def service_account(self) -> str:
        """`bookinfo-<service>`, unless told otherwise."""
        return self.account or f"bookinfo-{self.service}"


GATEWAY = Instance(
    "ingressgateway",
    10,
    "istio-ingressgateway",
    namespace="istio-system",
    account="istio-ingressgateway",
    role="router",
)
INSTANCES = (
    Instance("productpage-v1", 11, "productpage"),
    Instance("details-v1", 12, "details"),
    Instance("ratings-v1", 13, "ratings"),
    Instance("reviews-v1", 21, "reviews", "v1"),
    Instance("reviews-v2", 22, "reviews", "v2"),
    Instance("reviews-v3", 23, "reviews", "v3"),
)
SERVICE_PORT, APP_PORT, GATEWAY_PORT, PROXY_PORT = 9080, 9081, 8080, 15002
PROXY_PORTS = {"admin": 15000, "status": 15020, "ready": 15021, "stats": 15090}


def default_folder() -> Path:
    """`$XDG_STATE_HOME/artemon`, by default below ~/.local/state. Raises ArtemonError."""
    home = os.environ.get("XDG_STATE_HOME") or home_folder() / ".local" / "state"
    return Path(home) / "artemon"
