"""The client's side of a delta stream: what is asked, and with which versions."""

from __future__ import annotations

from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2

from artemon.xds.client import ClientSession
from artemon.xds.types import CLUSTER, ENDPOINTS


def test_the_first_request_carries_node_and_versions_the_next_only_what_changed() -> None:
    session = ClientSession(base_pb2.Node(id="n"), {CLUSTER: {"a": "1"}, ENDPOINTS: {"a": "2", "x": "3"}})
    first = session.want(CLUSTER, {"*"})
    second = session.want(ENDPOINTS, {"a", "b"})
    assert first is not None
    assert second is not None
    assert first.node.id == "n"
    assert dict(first.initial_resource_versions) == {"a": "1"}
    assert not first.resource_names_subscribe
    assert not second.HasField("node")
    assert dict(second.initial_resource_versions) == {"a": "2"}
    assert list(second.resource_names_subscribe) == ["a", "b"]
    third = session.want(ENDPOINTS, {"b", "c"})
    assert third is not None
    assert list(third.resource_names_subscribe) == ["c"]
    assert list(third.resource_names_unsubscribe) == ["a"]
    assert not third.initial_resource_versions
    assert session.want(ENDPOINTS, {"b", "c"}) is None


def test_a_response_becomes_an_update_and_is_answered() -> None:
    session = ClientSession(base_pb2.Node(), {})
    resource = discovery_pb2.Resource(name="a", version="v")
    resource.resource.value = b"body"
    response = discovery_pb2.DeltaDiscoveryResponse(
        type_url=CLUSTER, nonce="7", resources=[resource], removed_resources=["b"]
    )
    update = session.receive(response)
    assert update.resources["a"].body == b"body"
    assert update.removed == {"b"}
    assert session.accept(CLUSTER, "7").response_nonce == "7"
    assert not session.accept(CLUSTER, "7").HasField("error_detail")
    assert session.refuse(CLUSTER, "7", "no").error_detail.message == "no"
