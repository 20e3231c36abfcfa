"""Header operations of routes and destinations, with the authority apart: Envoy rewrites that on its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption

from artemon.model.virtual_service import Headers, HeadersHeaderOperations

AUTHORITY = frozenset({":authority", "host"})
ADD = HeaderValueOption.APPEND_IF_EXISTS_OR_ADD
SET = HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD


class _Options(Protocol):
    def extend(self, values: Iterable[HeaderValueOption], /) -> None: ...


class _Names(Protocol):
    def extend(self, values: Iterable[str], /) -> None: ...


class Carrier(Protocol):
    """What carries header operations: a route, a virtual host, a weighted cluster."""

    @property
    def request_headers_to_add(self) -> _Options: ...
    @property
    def request_headers_to_remove(self) -> _Names: ...
    @property
    def response_headers_to_add(self) -> _Options: ...
    @property
    def response_headers_to_remove(self) -> _Names: ...


def write_headers(carrier: Carrier, headers: Headers | None) -> None:
    """Adds the operations of `headers`, all but those on the authority."""
    if headers is None:
        return
    if headers.request is not None:
        carrier.request_headers_to_add.extend(_additions(headers.request))
        carrier.request_headers_to_remove.extend(headers.request.remove)
    if headers.response is not None:
        carrier.response_headers_to_add.extend(_additions(headers.response))
        carrier.response_headers_to_remove.extend(headers.response.remove)


def authority(headers: Headers | None) -> str:
    """The authority that `headers` put in place of the client's, "" for none."""
    if headers is None or headers.request is None:
        return ""
    operations = {**headers.request.add, **headers.request.set_}
    return next((value for name, value in sorted(operations.items()) if name.lower() in AUTHORITY), "")


def _additions(operations: HeadersHeaderOperations) -> list[HeaderValueOption]:
    written = [(name, value, ADD) for name, value in sorted(operations.add.items())]
    written += [(name, value, SET) for name, value in sorted(operations.set_.items())]
    return [
        HeaderValueOption(header=HeaderValue(key=name, value=value), append_action=action)
        for name, value, action in written
        if name.lower() not in AUTHORITY
    ]
