"""Which filter chain of a listener takes a connection (Envoy API, `FilterChainMatch`: nine levels in order).

At each level the most specific group that fits is followed, and none of the others is tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from envoy.config.core.v3.address_pb2 import CidrRange
from envoy.config.listener.v3.listener_components_pb2 import FilterChain, FilterChainMatch
from envoy.config.listener.v3.listener_pb2 import Listener

from artemon.simulate.call import Call, Mode, Protocol
from artemon.simulate.listener import HTTP_INSPECTOR, TLS_INSPECTOR, inspects
from artemon.simulate.outcome import NO_CHAIN, SEVERAL_CHAINS, Step, Stopped

SNIFFED = {Protocol.HTTP: "http/1.1", Protocol.HTTP2: "h2c"}
"""What the HTTP inspector calls plaintext requests."""
DOES_NOT_FIT = -1
ASKS_NOTHING = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """What a listener knows of a connection when it chooses. transport: `tls` or `raw_buffer`."""

    call: Call
    transport: str
    sni: str
    alpn: tuple[str, ...]
    local: bool


def seen(listener: Listener, call: Call) -> Seen:
    """What the listener's inspectors find out."""
    reads_tls = call.is_encrypted and inspects(listener, TLS_INSPECTOR, call.port)
    reads_http = not call.is_encrypted and inspects(listener, HTTP_INSPECTOR, call.port)
    sniffed = tuple(filter(None, (SNIFFED.get(call.protocol),))) if reads_http else ()
    return Seen(
        call=call,
        transport="tls" if reads_tls else "raw_buffer",
        sni=call.sni if reads_tls else "",
        alpn=call.alpn if reads_tls else sniffed,
        local=_is_local(call),
    )


def _is_local(call: Call) -> bool:
    if call.source_ip is None:
        return call.mode is Mode.OUTBOUND
    return ip_address(call.source_ip).is_loopback or call.source_ip == call.address


def choose_chain(listener: Listener, call: Call) -> tuple[FilterChain, Step]:
    """The chain of a call. Raises Stopped when none takes it: the connection is closed."""
    known = seen(listener, call)
    left = list(listener.filter_chains)
    passed: list[str] = []
    for level, rank in _LEVELS:
        ranked = [(rank(chain.filter_chain_match, known), chain) for chain in left]
        best = max((number for number, _ in ranked), default=DOES_NOT_FIT)
        passed += [f"{title(chain)}: {level}" for number, chain in ranked if number < max(best, 0)]
        left = [chain for number, chain in ranked if number == best and number > DOES_NOT_FIT]
    if len(left) > 1:
        raise Stopped(
            SEVERAL_CHAINS, why=f"{len(left)} chains ask for the same; Envoy refuses such a listener"
        )
    if left:
        return left[0], Step("filter chain", left[0].name, _reason(left[0], known), tuple(passed))
    if listener.HasField("default_filter_chain"):
        default = listener.default_filter_chain
        return default, Step(
            "filter chain", default.name, "no chain fits, this is the default", tuple(passed)
        )
    raise Stopped(NO_CHAIN, {"connection": "closed"}, why="; ".join(passed) or "the listener has no chain")


def title(chain: FilterChain) -> str:
    """What to call a chain; not all have a name."""
    match = chain.filter_chain_match
    asked = [
        *match.server_names,
        *(f"{one.address_prefix}/{one.prefix_len.value}" for one in match.prefix_ranges),
        *match.application_protocols,
    ]
    return f"chain {chain.name or '(unnamed)'} [{' '.join(asked)}]" if asked else f"chain {chain.name}"


def _reason(chain: FilterChain, known: Seen) -> str:
    match = chain.filter_chain_match
    parts = [
        (match.HasField("destination_port"), f"port {known.call.port}"),
        (bool(match.prefix_ranges), f"address {known.call.destination}"),
        (bool(match.server_names), f"server name {known.sni}"),
        (bool(match.transport_protocol), {"tls": "TLS", "raw_buffer": "plaintext"}.get(known.transport, "")),
        (bool(match.application_protocols), f"protocol {', '.join(known.alpn)}"),
    ]
    asked = [text for present, text in parts if present]
    return f"it asks for {', '.join(asked)}" if asked else "it takes every connection"


def _port(match: FilterChainMatch, known: Seen) -> int:
    if not match.HasField("destination_port"):
        return ASKS_NOTHING
    return 1 if match.destination_port.value == known.call.port else DOES_NOT_FIT


def _within(ranges: Sequence[CidrRange], address: str) -> int:
    """The length of the longest range that holds the address, plus one."""
    if not ranges:
        return ASKS_NOTHING
    networks = (ip_network(f"{one.address_prefix}/{one.prefix_len.value}", strict=False) for one in ranges)
    one = ip_address(address)
    return max((net.prefixlen + 1 for net in networks if one in net), default=DOES_NOT_FIT)


def _address(match: FilterChainMatch, known: Seen) -> int:
    return _within(match.prefix_ranges, known.call.destination)


def _server_name(match: FilterChainMatch, known: Seen) -> int:
    """The whole name, else the longest `*.suffix`."""
    if not match.server_names:
        return ASKS_NOTHING
    return max(_name_rank(wanted.lower(), known.sni) for wanted in match.server_names)


def _name_rank(wanted: str, sni: str) -> int:
    if wanted == sni:
        return 10_000
    suffix = wanted.removeprefix("*")
    is_wildcard = wanted.startswith("*.") and sni.endswith(suffix) and len(sni) > len(suffix)
    return len(wanted) if is_wildcard else DOES_NOT_FIT


def _exactly(wanted: str, actual: str) -> int:
    return ASKS_NOTHING if not wanted else 1 if wanted == actual else DOES_NOT_FIT


def _alpn(match: FilterChainMatch, known: Seen) -> int:
    """The first protocol of the client's that some chain asks for."""
    if not match.application_protocols:
        return ASKS_NOTHING
    ranks = [len(known.alpn) - known.alpn.index(p) for p in match.application_protocols if p in known.alpn]
    return max(ranks, default=DOES_NOT_FIT)


def _source(ranges: Iterable[CidrRange], known: Seen) -> int:
    listed = list(ranges)
    if listed and known.call.source_ip is None:
        return DOES_NOT_FIT
    return _within(listed, known.call.source_ip or "")


def _source_type(match: FilterChainMatch, known: Seen) -> int:
    wanted = match.source_type
    if wanted == FilterChainMatch.ANY:
        return ASKS_NOTHING
    return 1 if (wanted == FilterChainMatch.SAME_IP_OR_LOOPBACK) == known.local else DOES_NOT_FIT


_LEVELS: Sequence[tuple[str, Callable[[FilterChainMatch, Seen], int]]] = (
    ("the port is another", _port),
    ("the address is another, or another chain is for a smaller block", _address),
    ("the server name is another, or another chain names it more exactly", _server_name),
    ("it is for the other of TLS and plaintext", lambda m, k: _exactly(m.transport_protocol, k.transport)),
    ("the protocols offered are others, or another chain asks for them", _alpn),
    ("the caller has another address", lambda m, k: _source(m.direct_source_prefix_ranges, k)),
    ("the caller is not of the kind it is for", _source_type),
    ("the caller comes from another address", lambda m, k: _source(m.source_prefix_ranges, k)),
    ("the caller comes from another port", lambda m, _: DOES_NOT_FIT if m.source_ports else ASKS_NOTHING),
)  # fmt: skip
"""What is said of chains that a level rules out, and how well a chain fits at that level."""
