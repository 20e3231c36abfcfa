"""Responses as bytes, joined from serialized pieces: no message object is built to send one.

Fields of DiscoveryResponse and DeltaDiscoveryResponse are written in the order version (1), resources (2),
type_url (4), removed_resources (6), nonce (5): the nonce last, so that all before it is shared by clients.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from functools import lru_cache
from typing import Protocol

from artemon.xds.resource import Resource
from artemon.xds.types import SECRET


class Content(Protocol):
    """What a response says, without its nonce. version: hash of the content."""

    @property
    def type_url(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def resources(self) -> tuple[Resource, ...]: ...
    @property
    def removed(self) -> tuple[str, ...]: ...


def varint(number: int) -> bytes:
    """A non-negative integer as protobuf writes it."""
    if number <= 0x7F:
        return number.to_bytes()
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, value: bytes) -> bytes:
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(value)) + value


@lru_cache(maxsize=1024)
def _nonce(nonce: str) -> bytes:
    """The nonces of streams are alike: each counts its responses."""
    return field(5, nonce.encode())


def _head(number: int, length: int) -> bytes:
    return varint(number << 3 | 2) + varint(length)


def any_head(resource: Resource) -> bytes:
    """google.protobuf.Any around the resource's body: everything before the body."""
    return field(1, resource.type_url.encode()) + _head(2, len(resource.body))


def _sotw_pieces(resources: Iterable[Resource]) -> Iterable[bytes]:
    for resource in resources:
        head = any_head(resource)
        yield _head(2, len(head) + len(resource.body)) + head
        yield resource.body


def _delta_pieces(resources: Iterable[Resource]) -> Iterable[bytes]:
    for resource in resources:
        head = any_head(resource)
        envelope = (
            field(1, resource.version.encode())
            + field(3, resource.name.encode())
            + _head(2, len(head) + len(resource.body))
            + head
        )
        yield _head(2, len(envelope) + len(resource.body)) + envelope
        yield resource.body


def delta_body(content: Content) -> bytes:
    """A DeltaDiscoveryResponse without its nonce."""
    return b"".join(
        (
            field(1, content.version.encode()),
            *_delta_pieces(content.resources),
            field(4, content.type_url.encode()),
            *(field(6, name.encode()) for name in content.removed),
        )
    )


def sotw_body(content: Content) -> bytes:
    """A DiscoveryResponse without its nonce."""
    return b"".join(
        (
            field(1, content.version.encode()),
            *_sotw_pieces(content.resources),
            field(4, content.type_url.encode()),
        )
    )


class Bodies:
    """The most recent bodies, shared by all clients that get the same content. At most `limit` bytes.
    Secrets are neither kept nor shared."""

    def __init__(self, *, limit: int = 16 * 1024 * 1024) -> None:
        self._limit = limit
        self._size = 0
        self._known: OrderedDict[tuple[bool, str, str], bytes] = OrderedDict()

    def encode(self, content: Content, nonce: str, *, delta: bool) -> bytes:
        """The whole response."""
        return self._body(content, delta=delta) + _nonce(nonce)

    def _body(self, content: Content, *, delta: bool) -> bytes:
        if content.type_url == SECRET:
            return delta_body(content) if delta else sotw_body(content)
        key = (delta, content.type_url, content.version)
        body = self._known.get(key)
        if body is not None:
            self._known.move_to_end(key)
            return body
        body = delta_body(content) if delta else sotw_body(content)
        self._known[key] = body
        self._size += len(body)
        while self._size > self._limit:
            self._size -= len(self._known.popitem(last=False)[1])
        return body
