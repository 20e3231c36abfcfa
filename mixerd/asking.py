"""Attributes of a request that is under way, read from Envoy's question (`CheckRequest`).

The namespace of the destination is that of the certificate of the proxy that asks; what else it says of its
own workload concerns its own requests alone. Who calls is taken from the certificate that was shown to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qsl, unquote

from cryptography import x509

from artemon.expr.values import Address, Timestamp
from artemon.pki.errors import InvalidSpiffeId
from artemon.pki.spiffe import SpiffeId
from mixerd.records import Reporter

JWT = "envoy.filters.http.jwt_authn"
Reader = Callable[["Question"], Any]


class Question(Mapping[str, Any]):
    """The attributes of one question. reporter: the proxy that asks."""

    __slots__ = ("_found", "_peer", "attributes", "reporter")

    def __init__(self, attributes: Any, reporter: Reporter) -> None:
        self.attributes, self.reporter = attributes, reporter
        self._found: dict[str, Any] = {}
        self._peer: tuple[Reporter, str] | None = None

    def get(self, key: str, default: Any = None) -> Any:
        """The value of an attribute; `default` when the question does not tell."""
        found = self._found
        if key not in found:
            reader = READERS.get(key)
            found[key] = reader(self) if reader else None
        value = found[key]
        return default if value is None else value

    def __getitem__(self, key: str) -> Any:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __iter__(self) -> Any:
        return (name for name in READERS if self.get(name) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @property
    def http(self) -> Any:
        """What Envoy says of the request."""
        return self.attributes.request.http

    def peer(self) -> tuple[Reporter, str] | None:
        """Who calls, by its certificate, and its SPIFFE ID; None without one. Gateways send none: what is
        shown to them need not be of the mesh."""
        if self._peer is None and self.attributes.source.certificate:
            self._peer = _caller(unquote(self.attributes.source.certificate).encode())
        return self._peer

    def claims(self) -> Mapping[str, str]:
        """The claims of the token that the proxy took; lists are joined with commas."""
        metadata = self.attributes.metadata_context.filter_metadata
        if JWT not in metadata:
            return {}
        for value in metadata[JWT].fields.values():
            if value.HasField("struct_value"):
                return {name: _claim(one) for name, one in value.struct_value.fields.items()}
        return {}


def _caller(pem: bytes) -> tuple[Reporter, str] | None:
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        identity = SpiffeId.parse(names.get_values_for_type(x509.UniformResourceIdentifier)[0])
    except (ValueError, IndexError, InvalidSpiffeId, x509.ExtensionNotFound):
        return None
    parts = certificate.subject.get_attributes_for_oid(x509.NameOID.USER_ID)
    return Reporter.of(identity, str(parts[0].value) if parts else ""), str(identity)


def _claim(value: Any) -> str:
    kind = value.WhichOneof("kind")
    if kind == "list_value":
        return ",".join(_claim(one) for one in value.list_value.values)
    if kind == "number_value":
        return f"{value.number_value:.15g}"
    if kind == "bool_value":
        return str(value.bool_value).lower()
    return str(value.string_value)


def _text(value: str) -> str | None:
    return value or None


def _address(peer: Any) -> Address | None:
    try:
        number = ip_address(peer.address.socket_address.address)
    except ValueError:
        return None
    return Address(getattr(number, "ipv4_mapped", None) or number)


def _header(name: str) -> Reader:
    return lambda one: _text(one.http.headers.get(name, ""))


def _source(name: str) -> Reader:
    def read(one: Question) -> str | None:
        peer = one.peer()
        return _text(getattr(peer[0], name)) if peer else None

    return read


def _source_labels(one: Question) -> Mapping[str, str] | None:
    peer = one.peer()
    return _labels(peer[0].service, peer[0].version) if peer else None


def _source_principal(one: Question) -> str | None:
    peer = one.peer()
    return peer[1].removeprefix("spiffe://") if peer else None


def _labels(app: str, version: str) -> Mapping[str, str]:
    return {name: value for name, value in (("app", app), ("version", version)) if value}


def _own(name: str) -> Reader:
    return lambda one: _text(getattr(one.reporter, name))


def _principal(peer: Any) -> str | None:
    return _text(str(peer.principal).removeprefix("spiffe://"))


def _host(one: Question) -> str:
    return f"{one.reporter.service}.{one.reporter.namespace}.svc.cluster.local"


def _grpc(one: Question) -> bool:
    return bool(one.http.headers.get("content-type", "").startswith("application/grpc"))


def _start(one: Question) -> Timestamp:
    time = one.attributes.request.time
    return Timestamp(time.seconds * 1_000_000_000 + time.nanos)


def _jwt_principal(one: Question) -> str | None:
    claims = one.claims()
    return f"{claims['iss']}/{claims['sub']}" if {"iss", "sub"} <= claims.keys() else None


READERS: Mapping[str, Reader] = {
    **dict.fromkeys(("source.workload.name", "source.name"), _source("workload")),
    **dict.fromkeys(("source.workload.namespace", "source.namespace"), _source("namespace")),
    **dict.fromkeys(("source.principal", "source.user"), _source_principal),
    "source.labels": _source_labels,
    "source.ip": lambda one: _address(one.attributes.source),
    "source.port": lambda one: one.attributes.source.address.socket_address.port_value or None,
    "origin.ip": lambda one: _address(one.attributes.source),
    **dict.fromkeys(("destination.workload.name", "destination.name"), _own("workload")),
    **dict.fromkeys(
        ("destination.workload.namespace", "destination.namespace", "destination.service.namespace"),
        _own("namespace"),
    ),
    "destination.labels": lambda one: _labels(one.reporter.service, one.reporter.version),
    "destination.service.name": _own("service"),
    "destination.service.host": _host,
    "destination.service": _host,
    "destination.principal": lambda one: _principal(one.attributes.destination),
    "destination.ip": lambda one: _address(one.attributes.destination),
    "destination.port": lambda one: one.attributes.destination.address.socket_address.port_value or None,
    "request.id": _header("x-request-id"),
    "request.path": lambda one: _text(one.http.path),
    "request.url_path": lambda one: _text(one.http.path.partition("?")[0]),
    "request.query_params": lambda one: dict(parse_qsl(one.http.path.partition("?")[2])),
    "request.host": lambda one: _text(one.http.host),
    "request.method": lambda one: _text(one.http.method),
    "request.scheme": lambda one: _text(one.http.scheme),
    "request.useragent": _header("user-agent"),
    "request.referer": _header("referer"),
    "request.headers": lambda one: dict(one.http.headers),
    "request.size": lambda one: max(0, one.http.size),
    "request.time": _start,
    "request.api_key": _header("x-api-key"),
    "request.auth.principal": _jwt_principal,
    "request.auth.audiences": lambda one: _text(one.claims().get("aud", "")),
    "request.auth.presenter": lambda one: _text(one.claims().get("azp", "")),
    "request.auth.claims": lambda one: one.claims() or None,
    "connection.mtls": lambda one: one.peer() is not None,
    "connection.requested_server_name": lambda one: _text(one.attributes.tls_session.sni),
    "context.protocol": lambda one: "grpc" if _grpc(one) else "http",
    "context.reporter.kind": lambda one: "inbound",
    "context.timestamp": _start,
}
"""Attribute -> how it is read. Those that are not here are absent."""
