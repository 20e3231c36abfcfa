"""The resolvers that the machine has without us."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

from artemon.daemon.address import split_address
from artemon.errors import ArtemonError

RESOLV_CONF = Path("/etc/resolv.conf")
BEHIND_RESOLVED = Path("/run/systemd/resolve/resolv.conf")
"""The servers that systemd-resolved asks: used when /etc/resolv.conf points at us or at nothing else."""
PORT = 53
MOST = 3
"""Name servers that are read from resolv.conf (resolv.conf(5), MAXNS)."""

Address = tuple[str, int]


def resolvers(
    given: tuple[str, ...], own: Address, *, files: tuple[Path, ...] = (RESOLV_CONF, BEHIND_RESOLVED)
) -> tuple[Address, ...]:
    """Where to ask for all other names: what was `given`, else what the files say, never ourselves.

    Raises ArtemonError when a resolver that was given is `own`: queries would go in circles.
    """
    if given:
        found = tuple(split_address(one) for one in given)
        if own in found:
            raise ArtemonError(f"dns_upstream: {own[0]}:{own[1]} is where proxyd itself answers (dns_listen)")
        return found
    for path in files:
        servers = tuple(one for one in name_servers(_read(path)) if one != own)
        if servers:
            return servers
    return ()


def name_servers(text: str) -> tuple[Address, ...]:
    """The `nameserver` lines of a resolv.conf."""
    words = (line.split("#")[0].split() for line in text.splitlines())
    found = [parts[1] for parts in words if len(parts) >= 2 and parts[0] == "nameserver"]
    return tuple((one, PORT) for one in found if _is_address(one))[:MOST]


def _is_address(text: str) -> bool:
    try:
        ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
