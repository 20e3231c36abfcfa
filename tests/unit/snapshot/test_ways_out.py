"""Egress gateways: which Gateway's proxies lead out, from objects in any order and after any change."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from quick_yaml import read_documents

from artemon.model.decode import decode
from artemon.model.mesh_config import MeshConfig
from artemon.model.resource import Resource
from artemon.registry.files import read_proxy, snapshot_of
from artemon.snapshot.build import build
from artemon.snapshot.changes import Delete, Upsert
from artemon.snapshot.snapshot import Snapshot
from artemon.snapshot.view import ProxyView
from artemon.snapshot.world import World
from artemon.translate import messages
from artemon.xds.types import CLUSTER, ENDPOINTS, LISTENER

OBJECTS = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: shop, annotations: {artemon.io/egress-gateway: egress/out}}
spec:
  hosts: [api.example.com]
  resolution: DNS
  ports: [{number: 80, name: http, protocol: HTTP}, {number: 443, name: tls, protocol: TLS}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: out, namespace: egress}
spec:
  selector: {app: egress}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}
  - port: {number: 15443, name: tls, protocol: TLS}
    hosts: ["shop/*.example.com"]
    tls: {mode: ISTIO_MUTUAL}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: out-1, namespace: egress}
spec: {address: 10.1.0.1, labels: {app: egress}, serviceAccount: egress, ports: {tls: 8443}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: api, namespace: shop}
spec:
  host: api.example.com
  trafficPolicy: {tls: {mode: SIMPLE, sni: api.example.com}}
  subsets: [{name: v1, labels: {version: v1}}]
"""
SIDECAR = {"namespace": "shop", "labels": {"app": "web"}}
ROUTER = {"type": "router", "namespace": "egress", "labels": {"app": "egress"}}
NAME = "outbound|80||api.example.com"


def objects(**changes: Any) -> list[dict[str, Any]]:
    """The objects, with other specs or metadata for the kinds named."""
    found = read_documents(OBJECTS)
    for one in found:
        for field, value in changes.get(one["kind"], {}).items():
            one[field] = {**one[field], **value}
    return found


def view(proxy: dict[str, Any], **changes: Any) -> ProxyView:
    return snapshot_of(objects(**changes), MeshConfig()).view(read_proxy(proxy))


def addresses(seen: ProxyView, name: str = NAME) -> list[tuple[str, int]]:
    found: Any = messages(seen)[ENDPOINTS].get(name)
    places = [one.endpoint.address.socket_address for group in found.endpoints for one in group.lb_endpoints]
    return [(one.address, one.port_value) for one in places]


def test_sidecars_go_to_the_gateway_over_mutual_tls() -> None:
    seen = view(SIDECAR)
    assert addresses(seen) == [("10.1.0.1", 8443)]
    assert addresses(seen, "outbound|80|v1|api.example.com") == [("10.1.0.1", 8443)]
    cluster: Any = messages(seen)[CLUSTER][NAME]
    text = str(cluster.transport_socket)
    assert "outbound_.80_._.api.example.com" in text
    assert "spiffe://cluster.local/ns/egress/sa/egress" in text
    assert cluster.metadata.filter_metadata["istio"]["egress_gateway"] == "egress/out"


def test_the_gateway_goes_out_itself_and_lets_in_by_name() -> None:
    made = messages(view(ROUTER))
    cluster: Any = made[CLUSTER][NAME]
    assert cluster.type == cluster.STRICT_DNS
    assert "api.example.com" in str(cluster.transport_socket)
    listener: Any = made[LISTENER]["0.0.0.0_15443"]
    entered = {name for one in listener.filter_chains for name in one.filter_chain_match.server_names}
    wanted = {f"outbound_.{port}_.{sub}_.api.example.com" for port in (80, 443) for sub in ("", "v1")}
    assert entered >= wanted
    assert all(one.HasField("transport_socket") for one in listener.filter_chains)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"Gateway": {"metadata": {"name": "other"}}}, id="no-such-gateway"),
        pytest.param({"Gateway": {"spec": {"servers": []}}}, id="no-server-with-mutual-tls"),
        pytest.param({"ServiceEntry": {"metadata": {"namespace": "default"}}}, id="not-admitted"),
    ],
)
def test_nobody_gets_out_where_no_gateway_lets_them(changes: dict[str, Any]) -> None:
    cluster: Any = messages(view(SIDECAR, **changes))[CLUSTER][NAME]
    assert cluster.type == cluster.STATIC
    assert not cluster.load_assignment.endpoints
    assert not [
        one for one in messages(view(ROUTER, **changes))[LISTENER].values() if "api.example" in str(one)
    ]


def test_policies_of_the_gateway_stand_before_all_that_goes_out() -> None:
    policy = {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "nobody", "namespace": "egress"},
        "spec": {"selector": {"matchLabels": {"app": "egress"}}},
    }
    listener: Any = messages(snapshot_of([*objects(), policy], MeshConfig()).view(read_proxy(ROUTER)))[
        LISTENER
    ]
    chains = [one for one in listener["0.0.0.0_15443"].filter_chains if "api.example.com" in str(one)]
    assert len(chains) == 4
    for chain in chains:
        manager = HttpConnectionManager()
        names = [one.name for one in chain.filters]
        if chain.filters[-1].typed_config.Unpack(manager):
            names = [one.name for one in manager.http_filters]
        assert "rbac" in names[0], names


def test_a_sidecar_scope_that_imports_the_host_reaches_the_gateway() -> None:
    scope = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Sidecar",
        "metadata": {"name": "default", "namespace": "shop"},
        "spec": {"egress": [{"hosts": ["./*"]}], "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}},
    }
    seen = snapshot_of([*objects(), scope], MeshConfig()).view(read_proxy(SIDECAR))
    assert addresses(seen) == [("10.1.0.1", 8443)]


KUBERNETES = """
apiVersion: v1
kind: Service
metadata: {name: egress, namespace: egress}
spec: {selector: {app: egress}, ports: [{name: tls, port: 15443, targetPort: 9443}]}
---
apiVersion: v1
kind: Pod
metadata: {name: egress-1, namespace: egress, labels: {app: egress}}
spec: {serviceAccountName: egress, containers: [{name: proxy}]}
status: {podIP: 10.2.0.1, phase: Running, conditions: [{type: Ready, status: "True"}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: egress-x, namespace: egress, labels: {kubernetes.io/service-name: egress}}
addressType: IPv4
ports: [{name: tls, port: 9443}]
endpoints: [{addresses: [10.2.0.1], targetRef: {kind: Pod, name: egress-1, namespace: egress}}]
"""


def test_proxies_of_a_kubernetes_service_are_found_by_the_labels_of_their_pods() -> None:
    found = [one for one in objects() if one["kind"] != "WorkloadEntry"]
    whole = [*found, *read_documents(KUBERNETES)]
    assert addresses(snapshot_of(whole, MeshConfig()).view(read_proxy(SIDECAR))) == [("10.2.0.1", 9443)]


def decoded() -> list[Resource[Any]]:
    return [decode(one) for one in objects()]


def _told(snapshot: Snapshot) -> Any:
    return [snapshot.view(read_proxy(proxy)).services for proxy in (SIDECAR, ROUTER)]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_order_and_increments_do_not_matter(order: tuple[int, ...]) -> None:
    world, snapshot = World(), build(World())
    many = decoded()
    for index in order:
        changes = world.apply([Upsert(many[index].ref, many[index])])
        snapshot = build(world, snapshot, changes)
        snapshot.view(read_proxy(SIDECAR))
    assert _told(snapshot) == _told(snapshot_of(objects(), MeshConfig()))
    assert addresses(snapshot.view(read_proxy(SIDECAR))) == [("10.1.0.1", 8443)]


@pytest.mark.parametrize("gone", range(4))
def test_what_goes_leaves_nothing(gone: int) -> None:
    world, many = World(), decoded()
    changes = world.apply(Upsert(one.ref, one) for one in many)
    snapshot = build(world, None, changes)
    snapshot = build(world, snapshot, world.apply([Delete(many[gone].ref)]))
    rest = [one for index, one in enumerate(objects()) if index != gone]
    assert _told(snapshot) == _told(snapshot_of(rest, MeshConfig()))
    assert set(snapshot.config.services) == set(snapshot_of(rest, MeshConfig()).config.services)
