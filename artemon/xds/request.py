"""What clients say, taken out of the protobuf messages, which are dropped at once (they are large)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.message import DecodeError

from artemon.errors import ArtemonError

MAX_NAMES = 10_000
"""Resource names in one request."""
MAX_METADATA = 64 * 1024
"""Bytes of node metadata."""


class Malformed(ArtemonError):
    """A request that is no xDS request."""


class TooMuch(ArtemonError):
    """A request over the limits."""


@dataclass(frozen=True, slots=True)
class Node:
    """Who a client says it is (envoy.config.core.v3.Node)."""

    id: str = ""
    cluster: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    locality: str = ""
    agent: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """One message of a client, of either variant. error: Envoy's reason when it refuses; None otherwise.

    Delta: `subscribe`, `unsubscribe`, `initial_versions`. State of the world: `names` is the whole
    subscription and `version` what the client holds.
    """

    type_url: str
    nonce: str = ""
    error: str | None = None
    names: tuple[str, ...] = ()
    version: str = ""
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    initial_versions: Mapping[str, str] = field(default_factory=dict)


def parse_delta(data: bytes) -> tuple[Request, Node | None]:
    """A DeltaDiscoveryRequest. Raises Malformed, TooMuch."""
    message = _parsed(discovery_pb2.DeltaDiscoveryRequest, data)
    lists = (
        message.resource_names_subscribe,
        message.resource_names_unsubscribe,
        message.initial_resource_versions,
    )
    _bounded(*lists)
    request = Request(
        type_url=message.type_url,
        nonce=message.response_nonce,
        error=message.error_detail.message if message.HasField("error_detail") else None,
        subscribe=tuple(lists[0]),
        unsubscribe=tuple(lists[1]),
        initial_versions=dict(lists[2]),
    )
    return request, _node(message)


def parse_sotw(data: bytes) -> tuple[Request, Node | None]:
    """A DiscoveryRequest. Raises Malformed, TooMuch."""
    message = _parsed(discovery_pb2.DiscoveryRequest, data)
    _bounded(message.resource_names)
    request = Request(
        type_url=message.type_url,
        nonce=message.response_nonce,
        error=message.error_detail.message if message.HasField("error_detail") else None,
        names=tuple(message.resource_names),
        version=message.version_info,
    )
    return request, _node(message)


def _parsed(kind: Any, data: bytes) -> Any:
    message = kind()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise Malformed("the message is not a discovery request") from error
    if not message.type_url:
        raise Malformed("type_url is missing")
    return message


def _bounded(*lists: Any) -> None:
    for names in lists:
        if len(names) > MAX_NAMES:
            raise TooMuch(f"{len(names)} resource names in one request; at most {MAX_NAMES} are taken")


def _node(message: Any) -> Node | None:
    if not message.HasField("node"):
        return None
    node = message.node
    if node.metadata.ByteSize() > MAX_METADATA:
        raise TooMuch(f"node metadata of {node.metadata.ByteSize()} bytes; at most {MAX_METADATA} are taken")
    place = (node.locality.region, node.locality.zone, node.locality.sub_zone)
    return Node(
        id=node.id,
        cluster=node.cluster,
        metadata=_plain(node.metadata),
        locality="/".join(place).rstrip("/"),
        agent=f"{node.user_agent_name} {node.user_agent_version}".strip(),
    )


def _plain(struct: Any) -> dict[str, Any]:
    return {key: _value(value) for key, value in struct.fields.items()}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _plain(value.struct_value)
    if kind == "list_value":
        return [_value(item) for item in value.list_value.values]
    return None if kind in {None, "null_value"} else getattr(value, kind)
