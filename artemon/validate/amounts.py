"""Ports, shares, durations, weights."""

from __future__ import annotations

from collections.abc import Iterable

from artemon.model.duration import Nanoseconds
from artemon.model.virtual_service import Percent, PortSelector
from artemon.validate.findings import Problems, Reason, error, wrong
from artemon.validate.hosts import is_label

MILLISECOND = 1_000_000
SECOND = 1_000_000_000

PROTOCOLS = frozenset(
    "tcp udp grpc grpc-web http http_proxy http2 https tls mongo redis mysql".split()  # noqa: SIM905
)
HTTP = frozenset({"http", "http2", "grpc", "grpc-web", "http_proxy"})
TLS = frozenset({"https", "tls"})


def port(number: int) -> Reason:
    """Why `number` is not a port."""
    return None if 1 <= number <= 65535 else f"{number} is not a port; it must be 1 to 65535"


def is_port_text(text: str) -> bool:
    """Whether `text` is the decimal number of a port."""
    return text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535


def port_selector(selector: PortSelector | None, path: str) -> Problems:
    """A `port: {number}` that was written must be a port."""
    if selector is not None:
        yield from wrong(f"{path}.number", port(selector.number))


def port_name(name: str) -> Reason:
    """Why `name` is not a port's name."""
    return None if is_label(name) else f'port name "{name}" must have at most 63 letters, digits or "-"'


def protocol(name: str) -> Reason:
    """Why `name` is not a protocol; empty means that it is found out."""
    known = not name or name.lower() in PROTOCOLS
    return None if known else f'unsupported protocol "{name}" (known: {", ".join(sorted(PROTOCOLS))})'


def is_http(name: str) -> bool:
    """Whether routes apply to the protocol."""
    return name.lower() in HTTP


def is_tls(name: str) -> bool:
    """Whether the protocol's connections begin with a TLS handshake."""
    return name.lower() in TLS


def duration(span: Nanoseconds | None, path: str, *, whole_seconds: bool = False) -> Problems:
    """A span that was written must be at least 1ms and whole milliseconds (or seconds)."""
    if span is None:
        return
    if span < MILLISECOND:
        yield error(path, "must be at least 1ms")
    elif span % MILLISECOND:
        yield error(path, "must be whole milliseconds")
    elif whole_seconds and span % SECOND:
        yield error(path, "must be whole seconds")


def durations(spans: Iterable[tuple[str, Nanoseconds | None]], path: str) -> Problems:
    """`duration` for several fields of one message."""
    for name, span in spans:
        yield from duration(span, f"{path}.{name}")


def percent(value: float) -> Reason:
    """Why `value` is not a share of 0 to 100."""
    return None if 0 <= value <= 100 else f"{value} is not between 0 and 100"


def share(value: Percent | None, path: str) -> Problems:
    """A fractional share must be 0 or 0.0001 to 100."""
    if value is not None and not (value.value == 0 or 0.0001 <= value.value <= 100):
        yield error(f"{path}.value", f"{value.value} must be 0, or between 0.0001 and 100")


def not_negative(value: float, path: str) -> Problems:
    """A number that must be 0 or more."""
    if value < 0:
        yield error(path, f"must be 0 or more, not {value}")


def weights(values: list[int], path: str) -> Problems:
    """The weights of one route's destinations: none negative, not all 0 when there are several."""
    for index, value in enumerate(values):
        yield from not_negative(value, f"{path}[{index}].weight")
    if len(values) > 1 and sum(values) == 0:
        yield error(path, "the weights of all destinations add up to 0; give one a weight")
