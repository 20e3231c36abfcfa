"""Whether a value in an EnvoyFilter is the Envoy message that it patches."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from google.protobuf.message import Message

from artemon.errors import Problem
from artemon.model.duration import parse_duration
from artemon.model.words import kind_of

MESSAGES: Mapping[str, str] = {
    "LISTENER": "envoy.config.listener.v3.Listener",
    "FILTER_CHAIN": "envoy.config.listener.v3.FilterChain",
    "NETWORK_FILTER": "envoy.config.listener.v3.Filter",
    "LISTENER_FILTER": "envoy.config.listener.v3.ListenerFilter",
    "HTTP_FILTER": "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
    "ROUTE_CONFIGURATION": "envoy.config.route.v3.RouteConfiguration",
    "VIRTUAL_HOST": "envoy.config.route.v3.VirtualHost",
    "HTTP_ROUTE": "envoy.config.route.v3.Route",
    "CLUSTER": "envoy.config.cluster.v3.Cluster",
    "EXTENSION_CONFIG": "envoy.config.core.v3.TypedExtensionConfig",
    "BOOTSTRAP": "envoy.config.bootstrap.v3.Bootstrap",
}
"""applyTo -> what its value must be."""

_PACKAGE = re.compile(r"(envoy|udpa|xds|google\.rpc)(\.[a-z0-9_]+)+")
_OLD_API = re.compile(r"envoy(\.[a-z0-9_]+)*\.v2(alpha[0-9]*)?(\.[A-Za-z0-9_]+)+")
_FILTERS = frozenset(MESSAGES[apply_to] for apply_to in ("NETWORK_FILTER", "LISTENER_FILTER", "HTTP_FILTER"))


def problems_of(apply_to: str, value: Mapping[str, Any]) -> list[Problem]:
    """Why `value` is not the message that `apply_to` patches; what only newer Envoys know is a warning."""
    if apply_to not in MESSAGES:
        return []
    try:
        message = read(apply_to, value)
    except ValueError as problem:
        return [Problem("", str(problem))]
    found = [Problem("", reason, "warning") for reason in _nameless(message)]
    try:
        read(apply_to, value, lenient=False)
    except ValueError as problem:
        found.append(Problem("", str(problem), "warning"))
    return found


def _nameless(message: Message) -> Iterator[str]:
    """Filters that are named alone, as Envoy took them before each had a message of its own (Istio warns)."""
    pending = [message]
    while pending:
        one = pending.pop()
        if one.DESCRIPTOR.full_name in _FILTERS and one.name and one.WhichOneof("config_type") is None:  # type: ignore[attr-defined]
            yield f'filter "{one.name}" has no typed_config, and Envoy goes by its type'  # type: ignore[attr-defined]
        for described, inner in one.ListFields():
            if described.message_type is not None and not described.message_type.GetOptions().map_entry:
                pending += [inner] if isinstance(inner, Message) else inner


def read(apply_to: str, value: Mapping[str, Any], *, lenient: bool = True) -> Message:
    """The message that `apply_to` patches, from `value`. Raises ValueError when it is none.

    lenient: fields and enum values that only newer Envoys know are left out.
    """
    from google.protobuf import json_format

    name = MESSAGES[apply_to]
    for needed in sorted({name, *_types(value)}):
        if _OLD_API.fullmatch(needed):
            raise ValueError(f"is not {name}: {needed} is of Envoy's API v2, which is gone; use that of v3")
        load(needed)
    kind = message_class(name)
    assert kind is not None
    try:
        plain = proto3_json(value, kind.DESCRIPTOR)
        return json_format.ParseDict(plain, kind(), ignore_unknown_fields=lenient)
    except (json_format.ParseError, TypeError, ValueError, RecursionError) as problem:
        raise ValueError(f"is not {name}: {problem}") from problem


def message_class(name: str) -> type[Message] | None:
    """The class of the message called `name`, if it is a known one."""
    from google.protobuf import message_factory
    from google.protobuf.descriptor_pool import Default

    load(name)
    try:
        return message_factory.GetMessageClass(Default().FindMessageTypeByName(name))
    except KeyError:
        return None


def proto3_json(value: Any, message: Any) -> Any:
    """`value` with durations in seconds: Istio also takes `500ms`, proto3 JSON does not.

    message: the descriptor of the message that `value` describes. Raises ValueError for what is no message.
    """
    if message.full_name == "google.protobuf.Duration" and isinstance(value, str):
        try:
            return str(parse_duration(value))
        except ValueError:
            return value
    if message.full_name == "google.protobuf.Any" and isinstance(value, Mapping):
        value = _resolved(value)
        message = _described(value.get("@type")) or message
    if not isinstance(value, Mapping):
        if value is not None and not message.full_name.startswith("google.protobuf."):
            raise ValueError(f"{message.full_name} must be a mapping, not {kind_of(value)}")
        return value
    fields = {name: one for one in message.fields for name in (one.name, one.json_name)}
    return {key: _field(inner, fields.get(key)) for key, inner in value.items()}


_STRUCT = "google.protobuf.Struct"
_TYPED_STRUCT = frozenset({"udpa.type.v1.TypedStruct", "xds.type.v3.TypedStruct"})


def _resolved(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """A configuration in the shape of its own message, where it is wrapped as a struct that says its type."""
    name, inner = str(value.get("@type")).rpartition("/")[2], value.get("value")
    if not isinstance(inner, Mapping):
        return value
    if name == _STRUCT and isinstance(inner.get("@type"), str):
        return _resolved(inner)
    url = value.get("type_url", value.get("typeUrl"))
    if name in _TYPED_STRUCT and _described(url) is not None:
        return {**inner, "@type": url}
    return value


def _field(value: Any, described: Any) -> Any:
    if described is None or described.message_type is None:
        return value
    if described.message_type.GetOptions().map_entry:
        inner = described.message_type.fields_by_name["value"]
        return (
            {key: _field(one, inner) for key, one in value.items()} if isinstance(value, Mapping) else value
        )
    if isinstance(value, (list, tuple)):
        return [proto3_json(one, described.message_type) for one in value]
    return proto3_json(value, described.message_type)


def _described(url: Any) -> Any:
    from google.protobuf.descriptor_pool import Default

    try:
        return Default().FindMessageTypeByName(str(url).rpartition("/")[2])
    except KeyError:
        return None


def _types(value: Any) -> Iterator[str]:
    """Names of the messages in `@type` and `type_url` anywhere in `value`."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, Mapping):
            for url in (item.get("@type"), item.get("type_url"), item.get("typeUrl")):
                if isinstance(url, str):
                    yield url.rpartition("/")[2]
            pending += item.values()
        elif isinstance(item, (list, tuple)):
            pending += item


@cache
def load(message: str) -> None:
    """Make the package of a message known to protobuf, when it is one of Envoy's."""
    package, _, _ = message.rpartition(".")
    if not _PACKAGE.fullmatch(package):
        return
    try:
        folder = importlib.import_module(package)
    except ImportError:
        return
    for module in pkgutil.iter_modules(folder.__path__):
        if module.name.endswith("_pb2"):
            importlib.import_module(f"{package}.{module.name}")
