"""Chains that pass bytes on to a service: by its rules for TCP and TLS, else straight to its cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from envoy.config.core.v3.address_pb2 import CidrRange
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain

from artemon.model.service import Protocol, Resolution, Service
from artemon.snapshot.view import ProxyView
from artemon.translate import names
from artemon.translate.dynamic_dns import sni_lookup_filter
from artemon.translate.egress import Offer
from artemon.translate.filters.tcp import shared_tcp_filter
from artemon.translate.leniency import is_ip, networks
from artemon.translate.routes.l4 import Connections, tcp_connections, tls_connections
from artemon.translate.routes.rules import Rule
from artemon.translate.routes.scope import Client, Targets
from artemon.translate.stat_names import outbound_prefix

_TLS = frozenset({Protocol.TLS, Protocol.HTTPS})


@dataclass(frozen=True, slots=True)
class TellBy:
    """What tells services apart that share a listener: destination addresses, server names of TLS."""

    address: bool
    name: bool


def service_chains(
    view: ProxyView, offer: Offer, rules: Iterable[Rule], *, targets: Targets, by: TellBy
) -> Iterator[FilterChain]:
    """The chains of one service port. rules: those that speak for the service, best first."""
    service, port = offer
    client = Client(port=port.number, namespace=view.proxy.namespace, labels=view.proxy.labels)
    subnets = _subnets(view, service) if by.address else ()
    tls = port.protocol in _TLS
    read = tls_connections if tls else tcp_connections
    found = next((c for rule in rules if (c := list(read(rule, client, targets)))), [])
    if not found:
        sni = (service.host,) if tls and by.name else ()
        cluster = names.outbound_cluster(service.host, port.number)
        manner = targets.default_manner(service.host, port.number)
        found = [Connections(((cluster, 1),), sni=sni, manner=manner)]
    for connections in found:
        blocks = networks(connections.subnets or subnets)
        sources = networks(filter(None, (connections.source,)))
        if blocks is not None and sources is not None:
            chain = _chain(view, connections, blocks)
            chain.filter_chain_match.source_prefix_ranges.extend(map(cidr, sources))
            yield chain


def passing_on(connections: Connections, view: ProxyView) -> list[Filter]:
    """The filters that forward connections; where the server is looked up, they wait until it is known."""
    manner = connections.manner
    forward = shared_tcp_filter(
        connections.shares,
        view,
        stat_prefix=outbound_prefix(connections.shares[0][0], view),
        tunnel=manner.tunnel,
        idle_timeout=manner.idle_timeout,
    )
    found = [sni_lookup_filter(manner.lookup_port, view.mesh)] if manner.lookup_port else []
    return [*found, forward]


def _chain(
    view: ProxyView, connections: Connections, blocks: Iterable[IPv4Network | IPv6Network]
) -> FilterChain:
    out = FilterChain(filters=passing_on(connections, view))
    out.filter_chain_match.prefix_ranges.extend(cidr(block) for block in blocks)
    out.filter_chain_match.server_names.extend(name for name in connections.sni if name != "*")
    return out


def _subnets(view: ProxyView, service: Service) -> tuple[str, ...]:
    """The blocks of a service; of a service without addresses whose instances clients pick, the instances."""
    blocks = tuple(address for address in service.addresses if "/" in address)
    if blocks or service.addresses or service.resolution is not Resolution.NONE:
        return blocks
    instances = (endpoint.address for endpoint in view.endpoints.get(service.host, ()))
    return tuple(dict.fromkeys(address for address in instances if is_ip(address)))


def cidr(network: IPv4Network | IPv6Network) -> CidrRange:
    """A block as Envoy matches it."""
    out = CidrRange(address_prefix=str(network.network_address))
    out.prefix_len.value = network.prefixlen
    return out
