"""Attributes of one reported request or connection, read from Envoy's entry when they are asked for.

Who the ends are is taken from certificates (`mixerd.reading`), as far as they say it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any

from artemon.expr import Manifest
from artemon.expr.values import Address, Timestamp, Value, ValueType, read_value
from artemon.model.duration import Nanoseconds
from mixerd.records import DESTINATION, Call

_Entry = Any
"""HTTPAccessLogEntry or TCPAccessLogEntry."""
Reader = Callable[["Bag"], Any]


class Bag(Mapping[str, Value]):
    """The attributes of one entry. call: the same, as it is kept. manifest: attributes that tags of access
    logs give, beyond the vocabulary."""

    __slots__ = ("_found", "call", "entry", "manifest")

    def __init__(self, entry: _Entry, call: Call, manifest: Manifest) -> None:
        self.entry, self.call, self.manifest = entry, call, manifest
        self._found: dict[str, Value | None] = {}

    def get(self, key: str, default: Any = None) -> Any:
        """The value of an attribute; `default` when the entry does not tell."""
        found = self._found
        if key not in found:
            reader = READERS.get(key)
            found[key] = reader(self) if reader else self._tagged(key)
        value = found[key]
        return default if value is None else value

    def __getitem__(self, key: str) -> Value:
        value: Value | None = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __iter__(self) -> Any:
        return (name for name in (*READERS, *self.manifest) if self.get(name) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _tagged(self, key: str) -> Value | None:
        kind, written = self.manifest.get(key), self.entry.common_properties.custom_tags.get(key)
        if kind is None or written is None:
            return None
        try:
            return read_value(kind, _TAGS.get(kind, str)(written))
        except ValueError:
            return None


_TAGS: Mapping[ValueType, Callable[[str], Any]] = {
    ValueType.INT64: int,
    ValueType.DOUBLE: float,
    ValueType.BOOL: {"true": True, "false": False}.get,
}


def _text(value: str) -> str | None:
    return value or None


def _time(message: Any) -> Timestamp:
    return Timestamp(message.seconds * 1_000_000_000 + message.nanos)


def _span(message: Any) -> Nanoseconds:
    return Nanoseconds(message.seconds * 1_000_000_000 + message.nanos)


def _address(message: Any) -> Address | None:
    try:
        number = ip_address(message.socket_address.address)
    except ValueError:
        return None
    mapped = getattr(number, "ipv4_mapped", None)
    return Address(mapped or number)


def _of_call(name: str) -> Reader:
    return lambda bag: _text(getattr(bag.call, name))


def _common(bag: Bag) -> Any:
    return bag.entry.common_properties


def _http(read: Callable[[Any, Any], Any]) -> Reader:
    """Of requests alone."""
    return lambda bag: None if bag.call.protocol == "tcp" else read(bag.entry.request, bag.entry.response)


def _tcp(read: Callable[[Any], Any]) -> Reader:
    """Of connections alone."""
    return lambda bag: read(bag) if bag.call.protocol == "tcp" else None


def _header(name: str) -> Reader:
    return _http(lambda request, _: _text(request.request_headers.get(name, "")))


def _peer(side: str) -> Reader:
    """The SPIFFE ID of the peer; `source` of what came in, `destination` of what went out."""

    def read(bag: Bag) -> str | None:
        inbound = bag.call.reporter == DESTINATION
        tls = _common(bag).tls_properties
        names = (
            tls.peer_certificate_properties
            if inbound == (side == "source")
            else tls.local_certificate_properties
        )
        return next((one.uri.removeprefix("spiffe://") for one in names.subject_alt_name if one.uri), None)

    return read


def _labels(side: str) -> Reader:
    def read(bag: Bag) -> Mapping[str, str]:
        call = bag.call
        app, version = (call.source, "") if side == "source" else (call.service, call.version)
        return {name: value for name, value in (("app", app), ("version", version)) if value}

    return read


def _host(bag: Bag) -> str | None:
    parts = _common(bag).upstream_cluster.split("|")
    if len(parts) == 4 and parts[3]:
        return str(parts[3])
    call = bag.call
    return f"{call.service}.{call.namespace}.svc.cluster.local" if call.namespace else _text(call.service)


def _duration(bag: Bag) -> Nanoseconds:
    common = _common(bag)
    return _span(common.time_to_last_downstream_tx_byte) or _span(common.duration)


def _end(bag: Bag) -> Timestamp:
    return Timestamp(_time(_common(bag).start_time).nanoseconds + int(_duration(bag)))


def _workload(side: str, name: str, namespace: str) -> dict[str, Reader]:
    return {
        f"{side}.workload.name": _of_call(name),
        f"{side}.name": _of_call(name),
        f"{side}.workload.namespace": _of_call(namespace),
        f"{side}.namespace": _of_call(namespace),
        f"{side}.principal": _peer(side),
        f"{side}.user": _peer(side),
        f"{side}.labels": _labels(side),
    }


READERS: Mapping[str, Reader] = {
    **_workload("source", "source_workload", "source_namespace"),
    **_workload("destination", "workload", "namespace"),
    "source.ip": lambda bag: _address(_common(bag).downstream_direct_remote_address),
    "source.port": lambda bag: (
        _common(bag).downstream_direct_remote_address.socket_address.port_value or None
    ),
    "origin.ip": lambda bag: _address(_common(bag).downstream_remote_address),
    "destination.ip": lambda bag: _address(_common(bag).upstream_remote_address),
    "destination.port": lambda bag: _common(bag).upstream_remote_address.socket_address.port_value or None,
    "destination.service.host": _host,
    "destination.service": _host,
    "destination.service.name": _of_call("service"),
    "destination.service.namespace": _of_call("namespace"),
    "request.id": _of_call("request_id"),
    "request.path": _of_call("path"),
    "request.url_path": lambda bag: _text(bag.call.path.partition("?")[0]),
    "request.host": _of_call("authority"),
    "request.method": _of_call("method"),
    "request.scheme": _http(lambda request, _: _text(request.scheme)),
    "request.useragent": _http(lambda request, _: _text(request.user_agent)),
    "request.referer": _http(lambda request, _: _text(request.referer)),
    "request.headers": _http(lambda request, _: dict(request.request_headers)),
    "request.size": _http(lambda request, _: request.request_body_bytes),
    "request.total_size": _http(
        lambda request, _: request.request_headers_bytes + request.request_body_bytes
    ),
    "request.time": lambda bag: _time(_common(bag).start_time),
    "request.api_key": _header("x-api-key"),
    "response.code": _http(lambda _, response: response.response_code.value),
    "response.headers": _http(lambda _, response: dict(response.response_headers)),
    "response.size": _http(lambda _, response: response.response_body_bytes),
    "response.total_size": _http(
        lambda _, response: response.response_headers_bytes + response.response_body_bytes
    ),
    "response.duration": lambda bag: None if bag.call.protocol == "tcp" else _duration(bag),
    "response.time": lambda bag: None if bag.call.protocol == "tcp" else _end(bag),
    "response.grpc_status": _http(
        lambda _, response: _text(response.response_trailers.get("grpc-status", ""))
    ),
    "response.grpc_message": _http(
        lambda _, response: _text(response.response_trailers.get("grpc-message", ""))
    ),
    "connection.id": _tcp(lambda bag: _text(_common(bag).stream_id)),
    "connection.event": _tcp(lambda bag: "close"),
    "connection.duration": _tcp(_duration),
    "connection.received.bytes": _tcp(lambda bag: bag.call.received),
    "connection.received.bytes_total": _tcp(lambda bag: bag.call.received),
    "connection.sent.bytes": _tcp(lambda bag: bag.call.sent),
    "connection.sent.bytes_total": _tcp(lambda bag: bag.call.sent),
    "connection.mtls": lambda bag: bool(
        _common(bag).tls_properties.peer_certificate_properties.subject_alt_name
    ),
    "connection.requested_server_name": lambda bag: _text(_common(bag).tls_properties.tls_sni_hostname),
    "context.protocol": _of_call("protocol"),
    "context.proxy_error_code": lambda bag: bag.call.flags or "-",
    "context.reporter.kind": lambda bag: "inbound" if bag.call.reporter == DESTINATION else "outbound",
    "context.timestamp": _end,
    "context.time": _end,
}
"""Attribute -> how it is read. Those that are not here are absent."""
