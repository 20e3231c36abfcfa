"""Kubernetes objects as services and instances."""

from __future__ import annotations

from typing import Any

import pytest

from artemon.errors import Refused
from artemon.model.mesh_config import MeshConfig
from artemon.model.service import Endpoint, Health, Protocol, Resolution, Service
from artemon.registry.files import read_proxy, snapshot_of
from artemon.registry.kubernetes import protocol_of, sources

EXTERNAL = {"type": "ExternalName", "externalName": "a.b"}
X = {"metadata": {"name": "x"}, "spec": {"x": 1}}
HOST = "web.shop.svc.cluster.local"


def named(kind: str, name: str, labels: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": "shop", "labels": labels or {}}
    return {"apiVersion": "v1", "kind": kind, "metadata": meta, **fields}


def service(**spec: Any) -> dict[str, Any]:
    port = {"name": "http", "port": 80, "targetPort": "web"}
    return named("Service", "web", spec={"clusterIP": "10.0.0.1", "ports": [port], **spec})


def pod(name: str, address: str, **labels: str) -> dict[str, Any]:
    container = {"name": "app", "ports": [{"name": "web", "containerPort": 8080}]}
    spec = {"serviceAccountName": f"{name}-account", "containers": [container]}
    return named("Pod", name, {"app": "web", **labels}, spec=spec, status={"podIP": address})


def endpoint_slice(*endpoints: dict[str, Any]) -> dict[str, Any]:
    label = {"kubernetes.io/service-name": "web"}
    return named(
        "EndpointSlice", "web-1", label, endpoints=list(endpoints), ports=[{"name": "http", "port": 8080}]
    )


def converted(*objects: dict[str, Any]) -> tuple[Service, tuple[Endpoint, ...]]:
    (source,) = sources(objects, MeshConfig(), "cluster.local")
    return source.services[0], source.inline


@pytest.mark.parametrize(
    ("port", "protocol"),
    [
        ({"name": "http"}, Protocol.HTTP),
        ({"name": "http-web"}, Protocol.HTTP),
        ({"name": "http2-web"}, Protocol.HTTP2),
        ({"name": "grpc-web-x"}, Protocol.GRPC_WEB),
        ({"name": "grpc"}, Protocol.GRPC),
        ({"name": "https"}, Protocol.HTTPS),
        ({"name": "httpd"}, Protocol.AUTO),
        ({}, Protocol.AUTO),
        ({"name": "db", "appProtocol": "tcp"}, Protocol.TCP),
        ({"name": "tcp", "appProtocol": "kubernetes.io/h2c"}, Protocol.HTTP2),
        ({"name": "http", "protocol": "UDP"}, Protocol.UDP),
        ({"name": "x", "port": 3306}, Protocol.TCP),
    ],
    ids=str,
)
def test_protocol_of_a_port(port: dict[str, Any], protocol: Protocol) -> None:
    assert protocol_of({"port": 1, **port}) is protocol


@pytest.mark.parametrize(
    ("spec", "resolution", "addresses", "external"),
    [
        pytest.param({}, Resolution.STATIC, ("10.0.0.1",), False, id="cluster-address"),
        pytest.param({"clusterIP": "None"}, Resolution.NONE, (), False, id="headless"),
        pytest.param({"clusterIP": "", **EXTERNAL}, Resolution.DNS, (), True, id="external"),
    ],
)  # fmt: skip
def test_service(
    spec: dict[str, Any], resolution: Resolution, addresses: tuple[str, ...], external: bool
) -> None:
    found, _ = converted(service(**spec))
    assert found.host == HOST
    assert (found.resolution, found.addresses, found.mesh_external) == (resolution, addresses, external)


def test_instances_from_slices_with_what_is_known_of_their_pods() -> None:
    _, found = converted(
        service(),
        endpoint_slice(
            {"addresses": ["10.1.1.1"], "targetRef": {"kind": "Pod", "name": "a"}},
            {"addresses": ["10.1.1.2"], "targetRef": {"kind": "Pod", "name": "b"}, "zone": "z"},
            {"addresses": ["10.1.1.3"], "conditions": {"ready": False}},
        ),
        pod("a", "10.1.1.1", **{"security.istio.io/tlsMode": "istio", "istio-locality": "r.z.s"}),
        pod("b", "10.1.1.2", version="v2"),
    )
    assert [(e.address, e.service_account, e.mtls, e.locality) for e in found] == [
        ("10.1.1.1", "a-account", True, "r/z/s"),
        ("10.1.1.2", "b-account", False, "z"),
        ("10.1.1.3", "", False, ""),
    ]
    assert [e.health for e in found] == [Health.HEALTHY, Health.HEALTHY, Health.UNHEALTHY]
    assert {tuple(e.ports.items()) for e in found} == {(("http", 8080),)}
    assert found[1].labels["version"] == "v2"


def test_instances_from_endpoints() -> None:
    subset = {"addresses": [{"ip": "10.1.1.1"}], "notReadyAddresses": [{"ip": "10.1.1.2"}],
              "ports": [{"name": "http", "port": 8080}]}  # fmt: skip
    _, found = converted(service(), named("Endpoints", "web", subsets=[subset]))
    assert [(e.address, e.health) for e in found] == [
        ("10.1.1.1", Health.HEALTHY),
        ("10.1.1.2", Health.UNHEALTHY),
    ]


def test_instances_from_pods_alone_by_selector_and_port_name() -> None:
    _, found = converted(
        service(selector={"app": "web"}), pod("a", "10.1.1.1"), pod("b", "10.1.1.2", app="db")
    )
    assert [(e.address, e.ports) for e in found] == [("10.1.1.1", {"http": 8080})]


def test_a_mesh_from_files_knows_services_and_owners() -> None:
    snapshot = snapshot_of([service(), endpoint_slice({"addresses": ["10.1.1.1"]})], MeshConfig())
    view = snapshot.view(read_proxy({"namespace": "shop", "ipAddresses": ["10.1.1.1"]}))
    assert list(view.services) == [HOST]
    assert [one.host for one in view.own] == [HOST]
    assert view.endpoints[HOST][0].ports == {"http": 8080}


@pytest.mark.parametrize(
    ("objects", "reason"),
    [
        pytest.param([{"kind": "Gadget", "apiVersion": "v1"}], "Gadget", id="unknown-kind"),
        pytest.param([service(ports=8)], "Service/shop/web: .*wrong type", id="wrong-type"),
        pytest.param([{**service(ports=[{}]), "metadata": []}], "Service/default/[?]: ", id="no-metadata"),
        pytest.param([service(ports=[{}])], 'Service/shop/web: .*"port"', id="no-port"),
        pytest.param(
            [{"apiVersion": "networking.istio.io/v1", "kind": "Gateway", **X}],
            "Gateway/default/x: spec.x", id="unknown-field",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_by_name(objects: list[dict[str, Any]], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        snapshot_of(objects, MeshConfig())


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param({"type": "waypoint"}, "type: ", id="type"),
        pytest.param({"labelz": {}}, "labelz: ", id="field"),
        pytest.param({"metadata": {"ARTEMON_PORTS": [{}]}}, "metadata.ARTEMON_PORTS: ", id="ports"),
    ],
)
def test_a_proxy_that_cannot_be_read_is_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        read_proxy(fields)
