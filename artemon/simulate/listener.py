"""Which listener gets a connection (Envoy, "Original destination listener filter"; Istio's interception)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address

from envoy.config.core.v3.address_pb2 import Address
from envoy.config.core.v3.base_pb2 import TrafficDirection
from envoy.config.listener.v3.listener_components_pb2 import ListenerFilterChainMatchPredicate
from envoy.config.listener.v3.listener_pb2 import Listener

from artemon.simulate.call import Call, Mode
from artemon.simulate.outcome import NO_LISTENER, Step, Stopped
from artemon.translate import names

WILDCARDS = ("0.0.0.0", "::")
TLS_INSPECTOR = "envoy.filters.listener.tls_inspector"
HTTP_INSPECTOR = "envoy.filters.listener.http_inspector"


def choose_listener(listeners: Mapping[str, Listener], call: Call) -> tuple[Listener, Step]:
    """The listener of a call. Raises Stopped when nobody listens."""
    found = _inbound(listeners, call) if call.mode is Mode.INBOUND else _outbound(listeners, call)
    for listener, reason in found:
        return listener, Step("listener", listener.name, reason)
    place = f"{call.address or '*'}:{call.port}"
    why = f"nothing listens for {place}, and nothing catches what no listener is for"
    raise Stopped(NO_LISTENER, {"connection": "refused"}, why=why)


def _inbound(listeners: Mapping[str, Listener], call: Call) -> Iterator[tuple[Listener, str]]:
    """Interception leads to `virtualInbound`; ports that it leaves out are bound, as all are without it."""
    own = [one for one in listeners.values() if one.traffic_direction == TrafficDirection.INBOUND]
    for listener in own:
        if listener.name != names.VIRTUAL_INBOUND and call.port in _ports(listener, call.address):
            yield listener, f"it is bound to port {call.port} of the instance"
    if names.VIRTUAL_INBOUND in listeners:
        yield listeners[names.VIRTUAL_INBOUND], "interception leads all that comes in to it"


def _outbound(listeners: Mapping[str, Listener], call: Call) -> Iterator[tuple[Listener, str]]:
    """The exact address and port, then the port of any address, then the catcher of intercepted traffic."""
    catcher = next((one for one in listeners.values() if one.use_original_dst.value), None)
    intercepted = catcher is not None and call.mode is Mode.OUTBOUND
    reachable = [one for one in listeners.values() if intercepted or is_bound(one)]
    for listener in reachable:
        if call.address and (call.address, call.port) in sockets(listener):
            yield listener, f"it is for {call.address}:{call.port}"
    for listener in reachable:
        if any((wildcard, call.port) in sockets(listener) for wildcard in WILDCARDS):
            yield listener, f"it is for port {call.port} of any address"
    if catcher is not None and intercepted:
        yield catcher, f"no listener is for {call.destination}:{call.port}; it takes what others do not"
    elif call.address is None:
        for listener in reachable:
            if call.port in _ports(listener, None):
                yield listener, f"it is bound to port {call.port}, and the call names no address"


def is_bound(listener: Listener) -> bool:
    """Whether it has a socket; the others only get what a catcher of intercepted traffic hands them."""
    return not listener.HasField("bind_to_port") or bool(listener.bind_to_port.value)


def sockets(listener: Listener) -> set[tuple[str, int]]:
    """The addresses and ports that it is for."""
    return set(_sockets([listener.address, *(one.address for one in listener.additional_addresses)]))


def _sockets(addresses: Iterable[Address]) -> Iterator[tuple[str, int]]:
    for one in addresses:
        if one.WhichOneof("address") == "socket_address":
            text = one.socket_address.address
            yield _normal(text), one.socket_address.port_value


def _normal(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        return text


def _ports(listener: Listener, address: str | None) -> set[int]:
    """The ports that it is bound to, on `address` or on all."""
    if not is_bound(listener):
        return set()
    return {port for text, port in sockets(listener) if address in (None, text) or text in WILDCARDS}


def inspects(listener: Listener, name: str, port: int) -> bool:
    """Whether a listener filter looks at connections that were made to `port`."""
    return any(
        one.name == name and not _holds(one.filter_disabled, port) for one in listener.listener_filters
    )


def _holds(predicate: ListenerFilterChainMatchPredicate, port: int) -> bool:
    """Whether a predicate is true of a destination port; an unset one is not."""
    match predicate.WhichOneof("rule"):
        case "any_match":
            return True
        case "not_match":
            return not _holds(predicate.not_match, port)
        case "or_match":
            return any(_holds(rule, port) for rule in predicate.or_match.rules)
        case "and_match":
            return all(_holds(rule, port) for rule in predicate.and_match.rules)
        case "destination_port_range":
            span = predicate.destination_port_range
            return bool(span.start <= port < span.end)
    return False
