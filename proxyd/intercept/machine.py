"""What there is on this machine before interception changes anything."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import psutil

from proxyd.dns.resolvers import RESOLV_CONF, name_servers
from proxyd.intercept.cgroups import troubles
from proxyd.intercept.elsewhere import elsewhere
from proxyd.intercept.ipv6 import has_ipv6
from proxyd.intercept.steps import Backend

SECONDS = 20
CAP_NET_ADMIN = 12
"""Bit of capabilities(7)."""
SSHD = "sshd"
MESHES = {
    "ISTIO_": "Istio",
    "istio-": "Istio",
    "PROXY_INIT_": "Linkerd",
    "CONSUL_PROXY_": "Consul",
    "KUMA_MESH_": "Kuma",
    "MESH_INBOUND": "another mesh",
}
"""How names of chains and tables begin that another mesh's interception makes."""
SAVES = ("iptables-legacy-save", "ip6tables-legacy-save", "iptables-save", "ip6tables-save")
BESIDE = {"firewalld": "firewalld", "ufw-": "ufw", "ufw6-": "ufw", "DOCKER": "docker"}
"""The same of tools that live beside ours."""


@dataclass(frozen=True, slots=True)
class Socket:
    """A listening TCP socket. program: empty where we may not know."""

    address: str
    port: int
    program: str = ""
    pid: int = 0

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        return ip_address(self.address).is_loopback


@dataclass(frozen=True, slots=True)
class Connection:
    """A live TCP connection to or from another machine."""

    local: tuple[str, int]
    remote: tuple[str, int]
    program: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """may_change: whether we have CAP_NET_ADMIN. sessions: ports of SSH. foreign: meshes that intercept here
    already. beside: firewalls and the like with rules of their own. untold: why control groups that count
    cannot be told apart."""

    may_change: bool
    nft: bool
    iptables: bool
    ip: bool
    ipv6: bool
    sessions: frozenset[int] = frozenset()
    resolvers: tuple[str, ...] = ()
    sockets: tuple[Socket, ...] = ()
    connections: tuple[Connection, ...] = ()
    foreign: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    untold: tuple[str, ...] = ()

    @property
    def backend(self) -> Backend:
        """By what means packets are led here: nftables, unless there is only iptables."""
        return Backend.IPTABLES if self.iptables and not self.nft else Backend.NFT


def look(cgroups: Iterable[str] = ()) -> Machine:
    """The machine as it is now. cgroups: paths of control groups that count."""
    sockets, connections = _sockets()
    names = list(_rule_names())
    may_change, nft = _may_change(), _works("nft", "list", "tables")
    return Machine(
        may_change=may_change,
        nft=nft,
        iptables=_works("iptables-save") and shutil.which("iptables-restore") is not None,
        ip=shutil.which("ip") is not None,
        ipv6=has_ipv6(),
        sessions=frozenset(_sessions(sockets)),
        resolvers=tuple(host for host, _ in name_servers(_read(RESOLV_CONF))),
        sockets=sockets,
        connections=connections,
        foreign=_named(names, MESHES) or _nameless(),
        beside=_named(names, BESIDE),
        untold=tuple(troubles(cgroups, nft=nft)) if may_change and cgroups else (),
    )


def _may_change() -> bool:
    for line in _read(Path("/proc/self/status")).splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> CAP_NET_ADMIN & 1)
    return os.geteuid() == 0


def _works(*command: str) -> bool:
    return shutil.which(command[0]) is not None and _run(*command) is not None


def _run(*command: str) -> str | None:
    """What it prints; None when it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def _rule_names() -> Iterator[str]:
    """Names of all tables and chains of nftables and iptables but ours."""
    if shutil.which("nft"):
        listed: dict[str, Any] = json.loads(_run("nft", "-j", "list", "chains") or "{}")
        for item in listed.get("nftables", ()):
            chain = item.get("chain") or item.get("table")
            if chain and chain.get("table") != "artemon":
                yield chain["name"]
                yield chain.get("table", "")
    for saved in _saved():
        yield from (line[1:].split()[0] for line in saved.splitlines() if line.startswith(":"))


def _nameless() -> tuple[str, ...]:
    ruleset = (_run("nft", "list", "ruleset") or "") if shutil.which("nft") else ""
    return tuple(f"somebody ({where})" for where in elsewhere(ruleset, _saved()))


def _saved() -> Iterator[str]:
    """What programs of iptables say of their rules."""
    for save in SAVES:
        if shutil.which(save):
            yield _run(save) or ""


def _named(names: list[str], known: dict[str, str]) -> tuple[str, ...]:
    return tuple(sorted({tool for start, tool in known.items() for name in names if name.startswith(start)}))


def _sockets() -> tuple[tuple[Socket, ...], tuple[Connection, ...]]:
    programs: dict[int, str] = {}

    def program(pid: int | None) -> str:
        if pid and pid not in programs:
            try:
                programs[pid] = psutil.Process(pid).name()
            except psutil.Error:
                programs[pid] = ""
        return programs.get(pid or 0, "")

    sockets, connections = [], []
    for one in psutil.net_connections(kind="tcp"):
        if one.laddr and one.status == psutil.CONN_LISTEN:
            sockets.append(Socket(one.laddr.ip, one.laddr.port, program(one.pid), one.pid or 0))
        elif one.laddr and one.raddr and one.status == psutil.CONN_ESTABLISHED:
            pair = (one.laddr.ip, one.laddr.port), (one.raddr.ip, one.raddr.port)
            connections.append(Connection(*pair, program(one.pid)))
    connections = [one for one in connections if not ip_address(one.remote[0]).is_loopback]
    return tuple(sorted(set(sockets), key=lambda one: (one.port, one.address))), tuple(connections)


def _sessions(sockets: tuple[Socket, ...]) -> Iterator[int]:
    """Where sshd listens, and the port of the session that we run in (sshd(8), SSH_CONNECTION)."""
    yield from (one.port for one in sockets if one.program == SSHD)
    for text in (os.environ.get("SSH_CONNECTION", ""), *_of_parents("SSH_CONNECTION")):
        parts = text.split()
        if len(parts) == 4 and parts[3].isdecimal():
            yield int(parts[3])


def _of_parents(variable: str) -> Iterator[str]:
    """A variable in the environments of our parents: sudo takes it away from us."""
    try:
        for parent in psutil.Process().parents():
            yield parent.environ().get(variable, "")
    except psutil.Error:
        return


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
