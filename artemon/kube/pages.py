"""Lists and events of an API in Kubernetes conventions.

Their objects are read one by one, each from its JSON: of a large list only what is read is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import msgspec

from artemon.errors import ArtemonError
from artemon.kube.failures import refusal

Object = dict[str, Any]
T = TypeVar("T")
Read = Callable[[bytes], T]
"""What makes of an object's JSON what is kept of it."""


@dataclass(frozen=True, slots=True)
class Event(Generic[T]):
    """One event of a watch. type: ADDED, MODIFIED, DELETED or BOOKMARK. version: of the object."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: T
    version: str = ""


class Meta(msgspec.Struct, rename={"resource_version": "resourceVersion", "more": "continue"}):
    """What of the `metadata` of lists and objects moves a reader on. more: "" on the last page."""

    resource_version: str = ""
    more: str = ""


class _Page(msgspec.Struct):
    metadata: Meta | None = None
    items: list[msgspec.Raw] | None = None


class _Line(msgspec.Struct):
    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
    object: msgspec.Raw = msgspec.Raw(b"{}")


class _Versioned(msgspec.Struct):
    metadata: Meta | None = None


_PAGES, _LINES = msgspec.json.Decoder(_Page), msgspec.json.Decoder(_Line)
_VERSIONS = msgspec.json.Decoder(_Versioned)


def fields_of(text: bytes) -> Object:
    """The whole object."""
    return as_object(msgspec.json.decode(text))


def as_object(value: Any) -> Object:
    """`value`, which must be an object. Raises ArtemonError otherwise."""
    if not isinstance(value, dict):
        raise ArtemonError("the server answered something that is not an object")
    return value


def read_page(text: bytes, read: Read[T]) -> tuple[list[T], Meta]:
    """The objects of one page, and where it stands. Raises ArtemonError when it is no list."""
    try:
        page = _PAGES.decode(text)
        return [read(one) for one in page.items or ()], page.metadata or Meta()
    except msgspec.MsgspecError as error:
        raise ArtemonError(f"the server answered something that is not a list: {error}") from error


def read_event(line: bytes, read: Read[T]) -> Event[T]:
    """One line of a watch. Raises what an ERROR says, ValueError when it is no event at all."""
    said = _LINES.decode(line)
    if said.type == "ERROR":
        status = fields_of(said.object)
        raise refusal(int(status.get("code", 500)), status)
    found = _VERSIONS.decode(said.object)
    version = found.metadata.resource_version if found.metadata else ""
    return Event(said.type, read(said.object), version)
