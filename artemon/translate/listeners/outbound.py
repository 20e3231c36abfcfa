"""Outbound listeners of sidecars: what the application connects to, knowingly or not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from envoy.config.core.v3.base_pb2 import TrafficDirection
from envoy.config.listener.v3.listener_components_pb2 import FilterChain, FilterChainMatch
from envoy.config.listener.v3.listener_pb2 import Listener

from artemon.model.service import Protocol
from artemon.snapshot.memo import Memo
from artemon.snapshot.view import ProxyView
from artemon.translate import names
from artemon.translate.dynamic_dns import looks_up
from artemon.translate.egress import (
    Egress,
    Offer,
    egress_cluster,
    egress_of,
    instance_address,
    offers,
    proxy_port,
    virtual_addresses,
)
from artemon.translate.filters.inspect import http_inspector, tls_inspector
from artemon.translate.filters.manager import Http, http_filter
from artemon.translate.filters.tcp import tcp_filter
from artemon.translate.listeners.base import WILDCARD, also_ipv6, listener
from artemon.translate.listeners.chains import PLAIN, PLAIN_HTTP
from artemon.translate.listeners.draft import Draft
from artemon.translate.listeners.tcp import TellBy, service_chains
from artemon.translate.routes.rules import Rules
from artemon.translate.routes.scope import targets_of
from artemon.translate.telemetry.side import Side


def outbound_listeners(view: ProxyView, memo: Memo | None = None) -> Iterator[Listener]:
    """The services' listeners by name, the application's HTTP proxy, and the catcher of everything else."""
    memo = Memo() if memo is None else memo
    rules, targets = memo.get(Rules, view.virtual_services, memo), targets_of(view)
    drafts: dict[str, Draft] = {}
    for egress in egress_of(view):
        if egress.is_socket:
            _socket(view, drafts, egress)
            continue
        for offer in offers(egress):
            for draft in _drafts(view, drafts, egress, offer=offer):
                _add(draft, egress, offer)
                if not _protocol(egress, offer).is_http:
                    told_apart = _told_apart(draft, egress, offer)
                    speaking = rules.for_host(offer[0].host)
                    draft.take(service_chains(view, offer, speaking, targets=targets, by=told_apart))
        if egress.port and egress.protocol.is_http:
            draft = _draft(drafts, _bound(view, egress), egress.port, egress)
            draft.route = names.outbound_route(egress.port)
    if proxy_port(view):
        drafts[names.HTTP_PROXY] = _http_proxy(view)
    waits = looks_up(view)
    for name in sorted(drafts):
        yield _listener(view, replace(drafts[name], looks_up=waits))
    if view.proxy.intercepts and egress_of(view):
        yield _virtual_outbound(view)


def _socket(view: ProxyView, drafts: dict[str, Draft], egress: Egress) -> None:
    """A Unix domain socket: all HTTP services by their hosts and ports, or the first service for bytes."""
    draft = drafts.setdefault(egress.bind, Draft(egress.bind, 0, captured=False))
    offer = next(offers(egress), None)
    if egress.protocol.is_http:
        draft.route = egress.bind
    elif offer is not None:
        cluster = names.outbound_cluster(offer[0].host, offer[1].number)
        draft.rest = FilterChain(filters=[tcp_filter(cluster, view)])


def _told_apart(draft: Draft, egress: Egress, offer: Offer) -> TellBy:
    """How services that share a listener are told apart; one with an address of its own needs nothing."""
    own_address = draft.address in virtual_addresses(offer[0])
    shared = not own_address and not egress.is_sole
    return TellBy(address=shared and egress.captured, name=shared)


def _protocol(egress: Egress, offer: Offer) -> Protocol:
    return egress.protocol if egress.port and egress.protocol else offer[1].protocol


def _bound(view: ProxyView, egress: Egress) -> str:
    return egress.bind or (WILDCARD if egress.captured else instance_address(view))


def _drafts(view: ProxyView, drafts: dict[str, Draft], egress: Egress, *, offer: Offer) -> list[Draft]:
    """The listeners that an offer belongs to: HTTP shares one for each port, addresses have their own."""
    service, port = offer
    protocol = _protocol(egress, offer)
    if protocol is Protocol.UDP:
        return []
    addresses: tuple[str, ...] = (_bound(view, egress),)
    if egress.captured and not egress.bind and not protocol.is_http:
        addresses = virtual_addresses(service) or addresses
    return [_draft(drafts, address, port.number, egress) for address in addresses]


def _draft(drafts: dict[str, Draft], address: str, port: int, egress: Egress) -> Draft:
    name = names.listener(address, port)
    if name not in drafts:
        private = not egress.captured and not egress.bind
        drafts[name] = Draft(address, port, captured=egress.captured, private=private)
    return drafts[name]


def _add(draft: Draft, egress: Egress, offer: Offer) -> None:
    """The HTTP side of an offer: a table for all of the port, or one of its own where it has an address."""
    service, port = offer
    protocol = _protocol(egress, offer)
    if not (protocol.is_http or protocol is Protocol.AUTO):
        return
    own_address = protocol is Protocol.AUTO and draft.address in virtual_addresses(service)
    table = names.host_route(service.host, port.number) if own_address else names.outbound_route(port.number)
    draft.route = draft.route or table
    draft.grpc_web = draft.grpc_web or protocol is Protocol.GRPC_WEB
    draft.grpc = draft.grpc or protocol.is_http2


def _listener(view: ProxyView, draft: Draft) -> Listener:
    name = f"{draft.address}_{draft.port}" if draft.address.startswith("unix://") else ""
    out = listener(draft.address, draft.port, TrafficDirection.OUTBOUND, view.mesh, name=name)
    if draft.captured:
        out.bind_to_port.value = False
        if view.proxy.ipv6:
            also_ipv6(out)
        draft.rest = draft.rest or _onward(view)
    sniffs_http = bool(draft.route) and bool(draft.rest or draft.chains)
    if draft.route:
        chain = FilterChain(filters=[http_filter(_http(draft.route, draft), view)])
        if sniffs_http:
            chain.filter_chain_match.transport_protocol = PLAIN
            chain.filter_chain_match.application_protocols.extend(PLAIN_HTTP)
        out.filter_chains.append(chain)
    out.filter_chains.extend(draft.chains)
    _close(out, draft, sniffs_http=sniffs_http)
    if sniffs_http or any(chain.filter_chain_match.server_names for chain in draft.chains):
        out.listener_filters.append(tls_inspector())
    if sniffs_http:
        out.listener_filters.append(http_inspector())
    return out


def _onward(view: ProxyView) -> FilterChain:
    """Where intercepted connections go that no service claims."""
    onward = tcp_filter(egress_cluster(view), view)
    return FilterChain(name=names.PASSTHROUGH_FILTER_CHAIN, filters=[onward])


def _close(out: Listener, draft: Draft, *, sniffs_http: bool) -> None:
    """All other connections, and who may make any. A private listener has no default chain, which would take
    everyone; so the chain stands once more where plaintext was told apart and turned out not to be HTTP."""
    if draft.private:
        for transport in ("", PLAIN) if sniffs_http else ("",):
            if draft.rest is not None:
                out.filter_chains.append(draft.rest)
                out.filter_chains[-1].filter_chain_match.transport_protocol = transport
        for chain in out.filter_chains:
            chain.filter_chain_match.source_type = FilterChainMatch.SAME_IP_OR_LOOPBACK
    elif draft.rest is not None and out.filter_chains:
        out.default_filter_chain.CopyFrom(draft.rest)
    elif draft.rest is not None:
        out.filter_chains.append(draft.rest)


def _http(route: str, draft: Draft) -> Http:
    prefix = f"outbound_{names.listener(draft.address, draft.port)};"
    return Http(
        side=Side.OUTBOUND,
        stat_prefix=prefix,
        route=route,
        grpc_web=draft.grpc_web,
        grpc=draft.grpc,
        looks_up=draft.looks_up,
    )


def _http_proxy(view: ProxyView) -> Draft:
    """For applications that are told of it (`http_proxy`): requests name the host and port that they mean."""
    address, port = instance_address(view), proxy_port(view)
    return Draft(address, port, captured=False, private=True, route=names.HTTP_PROXY, grpc=True)


def _virtual_outbound(view: ProxyView) -> Listener:
    """Catches intercepted connections and hands them to the listener of the address they were made to."""
    port = view.proxy.outbound_port or view.mesh.proxy_listen_port
    out = listener(WILDCARD, port, TrafficDirection.OUTBOUND, view.mesh, name=names.VIRTUAL_OUTBOUND)
    if view.proxy.ipv6:
        also_ipv6(out)
    out.use_original_dst.value = True
    loop = FilterChain(name=names.VIRTUAL_OUTBOUND_BLACKHOLE, filters=[tcp_filter(names.BLACK_HOLE, view)])
    loop.filter_chain_match.destination_port.value = port
    rest = tcp_filter(egress_cluster(view), view)
    out.filter_chains.append(loop)
    out.filter_chains.append(FilterChain(name=names.VIRTUAL_OUTBOUND_CATCHALL, filters=[rest]))
    return out
