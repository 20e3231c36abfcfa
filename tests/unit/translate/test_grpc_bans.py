"""Clients without a proxy: no instance with a banned identity, no server that shows one, never anybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.extensions.filters.http.rbac.v3.rbac_pb2 import RBAC as HttpRbac
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import UpstreamTlsContext
from translate_mesh import view_of

from artemon.model.trust import serial_name
from artemon.translate.grpc.guard import filters_of
from artemon.translate.grpc.translator import GrpcTranslator
from artemon.xds.resource import Resource
from artemon.xds.types import CLUSTER, ENDPOINTS

MESH = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: echo, namespace: default}
spec:
  hosts: [echo.default.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 7070, name: grpc, protocol: GRPC}]
  endpoints:
  - {address: 10.0.0.1, serviceAccount: good, labels: {security.istio.io/tlsMode: istio}}
  - {address: 10.0.0.2, serviceAccount: foe, labels: {security.istio.io/tlsMode: istio}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: echo, namespace: default}
spec: {host: echo.default.svc.cluster.local, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}
"""
NAME = "outbound|7070||echo.default.svc.cluster.local"
GOOD, FOE = (f"spiffe://cluster.local/ns/default/sa/{name}" for name in ("good", "foe"))


def found(*bans: str) -> Mapping[str, Mapping[str, Resource]]:
    view = replace(view_of(MESH, {"metadata": {"GENERATOR": "grpc"}}), bans=bans)
    made = GrpcTranslator().translate(view)
    return {url: made[url].items for url in (CLUSTER, ENDPOINTS)}


def names(cluster: Resource) -> list[str]:
    context = UpstreamTlsContext()
    assert Cluster.FromString(cluster.body).transport_socket.typed_config.Unpack(context)
    validation = context.common_tls_context.combined_validation_context.default_validation_context
    return [one.exact for one in validation.match_subject_alt_names]


def addresses(assignment: Resource) -> set[str]:
    found = ClusterLoadAssignment.FromString(assignment.body)
    return {
        one.endpoint.address.socket_address.address for group in found.endpoints for one in group.lb_endpoints
    }


def test_an_identity_that_is_banned_is_not_called() -> None:
    before, after = found(), found(FOE)
    assert set(names(before[CLUSTER][NAME])) == {GOOD, FOE}
    assert names(after[CLUSTER][NAME]) == [GOOD]
    assert addresses(before[ENDPOINTS][NAME]) == {"10.0.0.1", "10.0.0.2"}
    assert addresses(after[ENDPOINTS][NAME]) == {"10.0.0.1"}


def test_a_server_refuses_certificates_by_their_serial_names() -> None:
    name = serial_name(0xABC)
    (only,) = filters_of(replace(view_of(MESH, {"metadata": {"GENERATOR": "grpc"}}), revoked=(name,))) or ()
    rules = HttpRbac()
    assert only.typed_config.Unpack(rules)
    (policy,) = rules.rules.policies.values()
    assert [one.authenticated.principal_name.exact for one in policy.principals] == [name]
    assert name == "serial-abc.invalid"


def test_when_all_are_banned_nobody_is_taken_for_them() -> None:
    after = found(FOE, GOOD)
    assert NAME not in after[CLUSTER], "a cluster without names takes whoever is of the mesh"
    assert addresses(after[ENDPOINTS][NAME]) == set()
