"""What Envoy demands of the fields of a message before it looks further (protoc-gen-validate rules)."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

from google.protobuf.message import DecodeError, Message
from validate import validate_pb2

from artemon.translate.envoy_values import message_class
from artemon.translate.patches.merge import ANY

_EXTENSIONS = frozenset(
    f"envoy.{name}"
    for name in (
        *("config.core.v3.TransportSocket", "config.listener.v3.Filter", "config.listener.v3.ListenerFilter"),
        *("config.accesslog.v3.AccessLog", "config.cluster.v3.Filter"),
        "extensions.filters.network.http_connection_manager.v3.HttpFilter",
    )
)
"""What Envoy finds by the type of its configuration alone."""
_RELAXED = frozenset({"envoy.extensions.access_loggers.stats.v3.Config.stat_prefix"})
"""Fields that later Envoys do not need any more."""


def violation(message: Message) -> str | None:
    """The first rule that `message` or something in it breaks; packed messages are looked into."""
    return next(_violations(message, ""), None)


def _violations(message: Message, path: str) -> Iterator[str]:
    kind: Any = message.DESCRIPTOR
    if kind.full_name in _EXTENSIONS and not _configured(message):
        yield f"{path or kind.name} needs typed_config"
    for oneof in kind.oneofs:
        required = oneof.GetOptions().Extensions[validate_pb2.required]
        if required and message.WhichOneof(oneof.name) is None:
            yield f"{path or kind.name} needs one of {', '.join(one.name for one in oneof.fields)}"
    for field in kind.fields:
        options = field.GetOptions()
        if options.HasExtension(validate_pb2.rules) and field.full_name not in _RELAXED:
            rules = options.Extensions[validate_pb2.rules]
            yield from _broken(message, field, rules, _join(path, field.name))
    for field, value in message.ListFields():
        if field.message_type is not None:
            yield from _within(field, value, _join(path, field.name))


def _configured(message: Any) -> bool:
    fields = ("typed_config", "config_discovery")
    return any(name in message.DESCRIPTOR.fields_by_name and message.HasField(name) for name in fields)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _within(field: Any, value: Any, path: str) -> Iterator[str]:
    if field.message_type.GetOptions().map_entry:
        if field.message_type.fields_by_name["value"].message_type is not None:
            for key in value:
                yield from _message(value[key], f'{path}["{key}"]')
    elif field.is_repeated:
        for index, one in enumerate(value):
            yield from _message(one, f"{path}[{index}]")
    else:
        yield from _message(value, path)


def _message(value: Any, path: str) -> Iterator[str]:
    kind = message_class(value.type_url.rpartition("/")[2]) if value.DESCRIPTOR.full_name == ANY else None
    if kind is None:
        yield from _violations(value, path)
        return
    inner = kind()
    try:
        inner.ParseFromString(value.value)
    except DecodeError:
        yield f"{path} cannot be read as {kind.DESCRIPTOR.full_name}"
        return
    yield from _violations(inner, path)


def _broken(message: Message, field: Any, rules: Any, path: str) -> Iterator[str]:
    kind, value = rules.WhichOneof("type"), getattr(message, field.name)
    own: Any = getattr(rules, kind) if kind else None
    if field.has_presence and not message.HasField(field.name):
        required = rules.message.required or (kind in _MAY_REQUIRE and own.required)
        if required and field.containing_oneof is None:
            yield f"{path} is required"
    elif kind == "string" and len(value) < own.min_len:
        yield f"{path} must not be empty"
    elif kind == "repeated" and len(value) < own.min_items:
        yield f"{path} needs at least {own.min_items}"
    elif kind == "enum" and own.defined_only and value not in field.enum_type.values_by_number:
        yield f"{path} has no value {value}"
    elif kind in _NUMBERS:
        yield from _range(getattr(value, "value", value), own, path)


_MAY_REQUIRE = frozenset({"any", "duration", "timestamp"})
_NUMBERS = frozenset({"uint32", "uint64", "int32", "int64", "double", "float"})
_LIMITS = (
    ("gt", operator.gt, "above"),
    ("gte", operator.ge, "at least"),
    ("lt", operator.lt, "below"),
    ("lte", operator.le, "at most"),
)


def _range(value: Any, rules: Any, path: str) -> Iterator[str]:
    for name, holds, words in _LIMITS:
        if rules.HasField(name) and not holds(value, getattr(rules, name)):
            yield f"{path} must be {words} {getattr(rules, name)}"
