"""What lies under a prefix, as Consul says it; a value is decoded when somebody wants it.

Every change brings the whole prefix, and nearly all of it is known already.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable

import msgspec

from artemon.errors import StoreError
from artemon.store.api import Entry

NOTHING = msgspec.Raw(b"null")


class Item(msgspec.Struct, frozen=True, gc=False):
    """A key. raw: its value in Base64, as it stands in the answer."""

    key: str = msgspec.field(name="Key")
    version: int = msgspec.field(name="ModifyIndex")
    created: int = msgspec.field(name="CreateIndex")
    raw: msgspec.Raw = msgspec.field(name="Value", default=NOTHING)
    session: str = msgspec.field(name="Session", default="")

    def entry(self) -> Entry:
        """With its value."""
        text = bytes(self.raw)
        value = b"" if text == b"null" else base64.b64decode(text[1:-1])
        return Entry(self.key, value, self.version, self.created, self.session)


_DECODER = msgspec.json.Decoder(list[Item])


def items_of(content: bytes) -> tuple[Item, ...]:
    """The keys of an answer, sorted. Raises StoreError."""
    try:
        return tuple(sorted(_DECODER.decode(content), key=lambda item: item.key)) if content else ()
    except msgspec.MsgspecError as error:
        raise StoreError(f"consul: an answer cannot be read: {error}") from error


def names_of(content: bytes) -> tuple[str, ...]:
    """The names of an answer that lists them, sorted. Raises StoreError."""
    try:
        return tuple(sorted(msgspec.json.decode(content, type=list[str]))) if content else ()
    except msgspec.MsgspecError as error:
        raise StoreError(f"consul: an answer cannot be read: {error}") from error


def entries_of(items: Iterable[Item]) -> tuple[Entry, ...]:
    """The same, with values."""
    return tuple(item.entry() for item in items)
