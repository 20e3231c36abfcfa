"""One message merged into another, as EnvoyFilter's MERGE means it."""

from __future__ import annotations

from typing import Any

from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from artemon.translate.envoy_values import message_class
from artemon.translate.wire import packed

ANY, SOCKET = "google.protobuf.Any", "envoy.config.core.v3.TransportSocket"
_WHOLE = frozenset(
    f"google.protobuf.{name}"
    for name in (
        *("Duration", "Timestamp", "BoolValue", "BytesValue", "DoubleValue", "FloatValue", "Int32Value"),
        *("Int64Value", "StringValue", "UInt32Value", "UInt64Value"),
    )
)
"""Messages that stand for one value: half of one is nothing."""


class Unmergeable(ValueError):
    """Two configurations that are not of one type."""


def merge(into: Message, change: Message, *, replace_lists: bool = False) -> None:
    """Protobuf's merge: what `change` writes stands, lists grow, messages merge field by field.

    Otherwise than there, a duration or wrapper is replaced as the one value that it is, and packed messages
    of one type merge within. replace_lists: a list that `change` writes is all of it. Raises Unmergeable.
    """
    for field, value in change.ListFields():
        _merge_field(into, field, value, replace_lists=replace_lists)


def _merge_field(into: Message, field: FieldDescriptor, value: Any, *, replace_lists: bool) -> None:
    name, kind = field.name, field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        _merge_map(getattr(into, name), value, of_messages=kind.fields_by_name["value"].message_type)
    elif field.is_repeated:
        if replace_lists:
            into.ClearField(name)
        getattr(into, name).extend(value)
    elif kind is None:
        setattr(into, name, value)
    else:
        current = getattr(into, name)
        current.SetInParent()
        if kind.full_name in _WHOLE or (kind.full_name == SOCKET and current.name != value.name):
            current.CopyFrom(value)
        elif kind.full_name == ANY:
            merge_packed(current, value, replace_lists=replace_lists)
        else:
            merge(current, value, replace_lists=replace_lists)


def _merge_map(into: Any, value: Any, *, of_messages: Any) -> None:
    for key in value:
        if of_messages is None:
            into[key] = value[key]
        else:
            into[key].CopyFrom(value[key])


def merge_packed(into: Packed, change: Packed, *, replace_lists: bool = False) -> None:
    """`merge` within packed messages of one type. Raises Unmergeable."""
    if not into.type_url or not change.type_url:
        into.MergeFrom(change)
        return
    have, want = (one.type_url.rpartition("/")[2] for one in (into, change))
    kind = message_class(have)
    if have != want or kind is None:
        raise Unmergeable(f"the patch has a {want}, but what it patches is a {have}")
    current, other = kind(), kind()
    try:
        current.ParseFromString(into.value)
        other.ParseFromString(change.value)
    except DecodeError as error:
        raise Unmergeable(f"cannot be read as {have}") from error
    merge(current, other, replace_lists=replace_lists)
    into.CopyFrom(packed(current))
