"""Rules of TLS and TCP routes."""

from __future__ import annotations

from collections.abc import Sequence

from artemon.model.virtual_service import (
    L4MatchAttributes,
    RouteDestination,
    TCPRoute,
    TLSMatchAttributes,
    TLSRoute,
)
from artemon.validate.addresses import ip_or_block, is_ip
from artemon.validate.amounts import weights
from artemon.validate.findings import Problems, error, warning, wrong
from artemon.validate.hosts import Patterns, gateway_bound_domain, label, wildcard_domain
from artemon.validate.http_match import gateway_names, source
from artemon.validate.http_route import destination


def tls_route(route: TLSRoute, path: str, *, hosts: Patterns, on_gateway: bool, converted: bool) -> Problems:
    """What is wrong with one TLS route of a VirtualService with these hosts."""
    if not route.match:
        yield error(f"{path}.match", "must have at least one match")
    for index, match in enumerate(route.match):
        where = f"{path}.match[{index}]"
        if not match.sni_hosts:
            yield error(f"{where}.sniHosts", "must have at least one host")
        for number, host in enumerate(match.sni_hosts):
            yield from _sni_host(host, f"{where}.sniHosts[{number}]", hosts=hosts, on_gateway=on_gateway)
        yield from _connection(match, where)
    yield from _destinations(route.route, f"{path}.route", converted=converted)


def tcp_route(route: TCPRoute, path: str, *, converted: bool) -> Problems:
    """What is wrong with one TCP route."""
    for index, match in enumerate(route.match):
        where = f"{path}.match[{index}]"
        if match.source_subnet:
            yield from wrong(f"{where}.sourceSubnet", ip_or_block(match.source_subnet))
        yield from _connection(match, where)
    yield from _destinations(route.route, f"{path}.route", converted=converted)


def _sni_host(host: str, path: str, *, hosts: Patterns, on_gateway: bool) -> Problems:
    reason = gateway_bound_domain(host, sni=True) if on_gateway else wildcard_domain(host)
    if reason and is_ip(host):
        yield warning(path, f"{host} is an IP address, which clients do not send as SNI (RFC 6066)")
    elif reason:
        yield error(path, reason)
    elif hosts.covering(host) is None:
        yield error(path, f'"{host}" is not within the hosts of this VirtualService')


def _connection(match: TLSMatchAttributes | L4MatchAttributes, path: str) -> Problems:
    for index, block in enumerate(match.destination_subnets):
        yield from wrong(f"{path}.destinationSubnets[{index}]", ip_or_block(block))
    yield from source(match.port, match.source_labels, path)
    yield from gateway_names(match.gateways, f"{path}.gateways")
    if match.source_namespace:
        yield from wrong(f"{path}.sourceNamespace", label(match.source_namespace))


def _destinations(routes: Sequence[RouteDestination], path: str, *, converted: bool) -> Problems:
    if not routes:
        yield error(path, "must have at least one destination")
    for index, weighted in enumerate(routes):
        if not converted:
            yield from destination(weighted.destination, f"{path}[{index}].destination")
    yield from weights([weighted.weight for weighted in routes], path)
