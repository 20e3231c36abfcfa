"""TCP and TLS rules of VirtualServices: which connections, and their shares of clusters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from artemon.model.virtual_service import L4MatchAttributes, RouteDestination, TLSMatchAttributes
from artemon.translate.routes.rules import Rule
from artemon.translate.routes.scope import DIRECT, Client, Manner, Targets

Shares = tuple[tuple[str, int], ...]
"""Clusters with their weights."""


@dataclass(frozen=True, slots=True)
class Connections:
    """Connections that go the same way. subnets: destination CIDR blocks or addresses; sni: server names;
    source: a block or an address that they come from; empty is any."""

    shares: Shares
    subnets: tuple[str, ...] = ()
    sni: tuple[str, ...] = ()
    source: str = ""
    manner: Manner = DIRECT


def tcp_connections(rule: Rule, client: Client, targets: Targets) -> Iterator[Connections]:
    """The TCP routes of a rule that `client` can meet, up to the first that takes everything."""
    for route in rule.spec.tcp:
        shares = _shares(route.route, client, targets)
        matches: Iterable[L4MatchAttributes] = route.match or (L4MatchAttributes(),)
        for match in matches:
            if shares and _meets(match, client):
                manner = _manner(route.route, client, targets)
                subnets, source = tuple(match.destination_subnets), match.source_subnet
                yield Connections(shares, subnets, source=source, manner=manner)
                if not match.destination_subnets and not match.source_subnet:
                    return


def tls_connections(rule: Rule, client: Client, targets: Targets) -> Iterator[Connections]:
    """The TLS routes of a rule that `client` can meet; each names the servers that it is for."""
    for route in rule.spec.tls:
        shares = _shares(route.route, client, targets)
        for match in route.match:
            if shares and _meets(match, client):
                subnets, names = tuple(match.destination_subnets), tuple(match.sni_hosts)
                manner = _manner(route.route, client, targets)
                yield Connections(shares, subnets, names, manner=manner)


def _meets(match: L4MatchAttributes | TLSMatchAttributes, client: Client) -> bool:
    return client.meets(
        port=match.port,
        gateways=match.gateways,
        labels=match.source_labels,
        namespace=match.source_namespace,
    )


def _shares(routes: Iterable[RouteDestination], client: Client, targets: Targets) -> Shares:
    found = [(r.destination, r.weight) for r in routes if r.destination is not None]
    if len(found) == 1:
        return ((targets.cluster(found[0][0], client.port), 1),)
    return tuple((targets.cluster(target, client.port), weight) for target, weight in found if weight > 0)


def _manner(routes: Iterable[RouteDestination], client: Client, targets: Targets) -> Manner:
    """The manner of the first destination that asks for one; a filter has one for all."""
    found = (targets.manner(r.destination, client.port) for r in routes if r.destination is not None)
    return next((one for one in found if one != DIRECT), DIRECT)
