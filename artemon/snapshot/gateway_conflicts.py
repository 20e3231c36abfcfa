"""Servers of several Gateways on one port: who has what, when they cannot all have it.

The older Gateway wins, and keeps everything; the later one loses exactly what is contended, nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from artemon.model.gateway import Gateway, Server
from artemon.model.resource import Resource
from artemon.model.service import Protocol

WILDCARDS = frozenset({"", "0.0.0.0"})


class Opening(StrEnum):
    """How a server begins to look at a connection; servers of one port must agree."""

    HTTP = "http"
    TLS = "tls"
    TCP = "tcp"


def opening_of(protocol: Protocol) -> Opening:
    """What connections of a protocol begin with."""
    if protocol in (Protocol.HTTPS, Protocol.TLS):
        return Opening.TLS
    return Opening.HTTP if protocol.is_http else Opening.TCP


@dataclass(frozen=True, slots=True)
class Claim:
    """What one server wants of a port. gateway: `<namespace>/<name>`. shares: whether a host of it may also
    be another's that shares (TLS that is not opened here goes by the rules' server names)."""

    gateway: str
    index: int
    opening: Opening
    hosts: tuple[str, ...]
    shares: bool = False


@dataclass(frozen=True, slots=True)
class Conflict:
    """The server `index` of `gateway` does not get `host` ("": nothing of the port), `holder` has it."""

    gateway: str
    index: int
    host: str
    holder: str
    reason: str


def claim_of(gateway: Resource[Gateway], index: int, protocol: Protocol) -> Claim:
    """What a server wants."""
    server = gateway.spec.servers[index]
    tls = server.tls
    opening = opening_of(protocol)
    hosts = tuple(host.rpartition("/")[2].lower() for host in server.hosts)
    shares = opening is Opening.HTTP or tls is None or tls.mode in ("PASSTHROUGH", "AUTO_PASSTHROUGH")
    if opening is Opening.TCP:
        hosts, shares = ("*",), False
    return Claim(f"{gateway.meta.namespace}/{gateway.meta.name}", index, opening, hosts, shares)


def settle(claims: Iterable[Claim]) -> Iterator[Conflict]:
    """The conflicts among claims on one port, which come oldest first."""
    first: Claim | None = None
    taken: dict[str, Claim] = {}
    for claim in claims:
        first = first or claim
        if claim.opening is not first.opening:
            why = f"the port is open for {first.opening.upper()}, not {claim.opening.upper()}"
            yield Conflict(claim.gateway, claim.index, "", first.gateway, why)
            continue
        for host in claim.hosts:
            holder = taken.setdefault(host, claim)
            if holder is not claim and not (holder.shares and claim.shares):
                yield Conflict(claim.gateway, claim.index, host, holder.gateway, "it is already taken")


def conflicts(gateways: Sequence[Resource[Gateway]]) -> dict[Conflict, int]:
    """All conflicts among Gateways of the same proxies, oldest first, with the port of each."""
    ports: dict[tuple[str, int], list[Claim]] = {}
    for gateway in gateways:
        for index, server in enumerate(gateway.spec.servers):
            protocol = _protocol(server)
            if server.port is not None and protocol is not None:
                bind = "" if server.bind in WILDCARDS else server.bind
                claim = claim_of(gateway, index, protocol)
                ports.setdefault((bind, server.port.number), []).append(claim)
    return {one: port for (_, port), claims in ports.items() for one in settle(claims)}


def _protocol(server: Server) -> Protocol | None:
    try:
        return Protocol.parse(server.port.protocol) if server.port else None
    except ValueError:
        return None


def same_proxies(one: Gateway, other: Gateway) -> bool:
    """Whether whoever the one selects, the other does too, or the other way round."""
    mine, theirs = one.selector.items(), other.selector.items()
    return mine <= theirs or theirs <= mine


def oldest_first(gateways: Iterable[Resource[Gateway]]) -> list[Resource[Gateway]]:
    """By age, then name and namespace."""
    return sorted(gateways, key=lambda one: (one.meta.created, one.meta.name, one.meta.namespace))


def told(conflict: Conflict, port: int) -> str:
    """The conflict for the owner of the later Gateway."""
    what = f"port {port}" + (f" host {conflict.host}" if conflict.host else "")
    why = f"Gateway {conflict.holder}, which is older, has it ({conflict.reason})"
    return f"{what}: {why}; it has no effect here"
