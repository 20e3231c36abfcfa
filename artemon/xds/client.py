"""The client's side of one delta xDS stream, without I/O (xDS protocol, "Incremental xDS").

A stream is one `ClientSession`: requests come out as messages, responses go in, and the caller says later,
in any order, which responses were accepted and which not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.rpc import code_pb2, status_pb2

from artemon.xds.resource import Resource
from artemon.xds.subscription import EVERYTHING
from artemon.xds.types import WILDCARD


@dataclass(frozen=True, slots=True)
class Update:
    """What one response says: resources that are new or changed, and names that are no more."""

    type_url: str
    nonce: str
    resources: Mapping[str, Resource]
    removed: frozenset[str]


class ClientSession:
    """One stream. `held` (type to name to version) is what the client has, so that it is not sent again."""

    def __init__(self, node: base_pb2.Node, held: Mapping[str, Mapping[str, str]]) -> None:
        self._node: base_pb2.Node | None = node
        self._held = held
        self._wanted: dict[str, frozenset[str]] = {}

    @property
    def introduced(self) -> bool:
        """Whether the node was said: the first request of the stream has been made."""
        return self._node is None

    def want(self, type_url: str, names: Iterable[str]) -> discovery_pb2.DeltaDiscoveryRequest | None:
        """Be subscribed to exactly `names` (EVERYTHING: to whatever there is). None when nothing changes.

        The first request of a type carries the versions that are held; the first of the stream, the node.
        """
        wanted = frozenset(names)
        before = self._wanted.get(type_url)
        if wanted == (before or frozenset()):
            return None
        self._wanted[type_url] = wanted
        request = self._request(type_url)
        if before is None:
            held = self._held.get(type_url, {})
            request.initial_resource_versions.update(
                {name: version for name, version in held.items() if EVERYTHING in wanted or name in wanted}
            )
            if wanted == {EVERYTHING} and type_url in WILDCARD:
                return request
        request.resource_names_subscribe.extend(sorted(wanted - (before or frozenset())))
        request.resource_names_unsubscribe.extend(sorted((before or frozenset()) - wanted))
        return request

    def receive(self, response: discovery_pb2.DeltaDiscoveryResponse) -> Update:
        """What the server says. It must be answered with `accept` or `refuse`, once."""
        resources = {
            resource.name: Resource(
                resource.name, response.type_url, resource.version, resource.resource.value
            )
            for resource in response.resources
            if resource.HasField("resource")
        }
        return Update(response.type_url, response.nonce, resources, frozenset(response.removed_resources))

    def accept(self, type_url: str, nonce: str) -> discovery_pb2.DeltaDiscoveryRequest:
        """The ACK of a response."""
        request = self._request(type_url)
        request.response_nonce = nonce
        return request

    def refuse(self, type_url: str, nonce: str, reason: str) -> discovery_pb2.DeltaDiscoveryRequest:
        """The NACK of a response, with the reason."""
        request = self.accept(type_url, nonce)
        request.error_detail.CopyFrom(status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message=reason))
        return request

    def _request(self, type_url: str) -> discovery_pb2.DeltaDiscoveryRequest:
        node, self._node = self._node, None
        return discovery_pb2.DeltaDiscoveryRequest(type_url=type_url, node=node)
