"""Kubernetes objects as services and instances."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import convert

from artemon.errors import Refused
from artemon.model.mesh_config import MeshConfig
from artemon.model.service import Endpoint, Health, Protocol, Resolution, Service
from artemon.registry.files import read_proxy, snapshot_of
from artemon.registry.kubernetes import protocol_of, sources
from artemon.registry.kubernetes_shapes import ServicePort
from artemon.translate import messages
from artemon.xds.types import ROUTES

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
        ({"name": "http", "port": 3306}, Protocol.HTTP),
        ({"name": "http", "appProtocol": "unheard-of"}, Protocol.AUTO),
        ({"name": "tcp", "appProtocol": "kubernetes.io/ws"}, Protocol.HTTP),
        ({"name": "tcp", "appProtocol": "kubernetes.io/wss"}, Protocol.HTTPS),
        ({"name": "tcp", "appProtocol": "grpc-web"}, Protocol.GRPC_WEB),
        ({"name": "TLS-x"}, Protocol.TLS),
        ({"name": "mongo"}, Protocol.MONGO),
        ({"name": "mysql-db"}, Protocol.MYSQL),
        ({"name": "redis"}, Protocol.REDIS),
        ({"name": "udp-dns"}, Protocol.UDP),
        ({"name": "http", "protocol": "SCTP"}, Protocol.UDP),
    ],
    ids=str,
)
def test_protocol_of_a_port(port: dict[str, Any], protocol: Protocol) -> None:
    assert protocol_of(convert({"port": 1, **port}, ServicePort)) is protocol


@pytest.mark.parametrize(
    ("spec", "resolution", "addresses", "external"),
    [
        pytest.param({}, Resolution.STATIC, ("10.0.0.1",), False, id="cluster-address"),
        pytest.param({"clusterIP": "None"}, Resolution.NONE, (), False, id="headless"),
        pytest.param({"clusterIP": "", **EXTERNAL}, Resolution.DNS, (), True, id="external"),
        pytest.param({"type": "NodePort"}, Resolution.STATIC, ("10.0.0.1",), False, id="node-port"),
        pytest.param({"type": "LoadBalancer"}, Resolution.STATIC, ("10.0.0.1",), False, id="load-balancer"),
        pytest.param({"clusterIP": None}, Resolution.STATIC, (), False, id="no-address-yet"),
        pytest.param(
            {"clusterIPs": ["10.0.0.1", "fd00::1"]}, Resolution.STATIC, ("10.0.0.1", "fd00::1"), False,
            id="two-families",
        ),
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


def test_an_external_name_is_looked_up() -> None:
    found, instances = converted(
        service(selector={"app": "web"}, clusterIP="", **EXTERNAL), pod("a", "10.1.1.1")
    )
    assert [(one.address, one.ports) for one in instances] == [("a.b", {"http": 80})]
    assert found.ports[0].protocol is Protocol.HTTP


CONDITIONS = [
    pytest.param({}, Health.HEALTHY, id="nothing-said"),
    pytest.param({"ready": None}, Health.HEALTHY, id="null"),
    pytest.param({"ready": False}, Health.UNHEALTHY, id="not-ready"),
    pytest.param({"ready": False, "serving": True, "terminating": True}, Health.DRAINING, id="ending"),
    pytest.param({"ready": False, "serving": False, "terminating": True}, Health.UNHEALTHY, id="ended"),
]


@pytest.mark.parametrize(("state", "health"), CONDITIONS)
def test_conditions_of_a_slice(state: dict[str, Any], health: Health) -> None:
    listed = endpoint_slice({"addresses": ["10.1.1.1"], "conditions": state})
    _, (found,) = converted(service(), listed)
    assert found.health is health
    _, (published,) = converted(service(publishNotReadyAddresses=True), listed)
    assert published.health is Health.HEALTHY


def test_a_port_that_a_slice_does_not_list_is_not_served_there() -> None:
    ports = [{"name": "http", "port": 80}, {"name": "admin", "port": 81}]
    both = endpoint_slice({"addresses": ["10.1.1.1"]})
    admin = {**both, "ports": [{"name": "admin", "port": 9901}], "endpoints": [{"addresses": ["10.1.1.2"]}]}
    again = {**admin, "endpoints": [{"addresses": ["10.1.1.1"]}]}
    names = {**both, "addressType": "FQDN", "endpoints": [{"addresses": ["web.example.com"]}]}
    _, found = converted(service(ports=ports), both, admin, again, names)
    assert {one.address: dict(one.ports) for one in found} == {
        "10.1.1.1": {"http": 8080, "admin": 9901},
        "10.1.1.2": {"http": 0, "admin": 9901},
    }


def test_slices_stand_over_endpoints_and_endpoints_over_pods() -> None:
    subset = {"addresses": [{"ip": "10.1.1.2"}], "ports": [{"name": "http", "port": 8080}]}
    older = named("Endpoints", "web", subsets=[subset])
    loose = pod("a", "10.1.1.3")
    selecting = service(selector={"app": "web"})
    listed = endpoint_slice({"addresses": ["10.1.1.1"]})
    for objects, address in (((listed, older, loose), "10.1.1.1"), ((older, loose), "10.1.1.2")):
        _, found = converted(selecting, *objects)
        assert [one.address for one in found] == [address]


PODS = [
    pytest.param({}, {}, "web", (8080, Health.HEALTHY), id="named-target"),
    pytest.param({}, {}, 9000, (9000, Health.HEALTHY), id="numbered-target"),
    pytest.param({}, {}, None, (80, Health.HEALTHY), id="no-target"),
    pytest.param({}, {}, "nobody", (0, Health.HEALTHY), id="unknown-name"),
    pytest.param({}, {"phase": "Failed"}, "web", None, id="over"),
    pytest.param({"deletionTimestamp": "2026-01-01"}, {}, "web", (8080, Health.DRAINING), id="ending"),
    pytest.param(
        {}, {"conditions": [{"type": "Ready", "status": "False"}]}, "web", (8080, Health.UNHEALTHY),
        id="not-ready",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("meta", "status", "target", "expected"), PODS)
def test_pods_without_a_list(
    meta: dict[str, Any], status: dict[str, Any], target: Any, expected: tuple[int, Health] | None
) -> None:
    one = pod("a", "10.1.1.1")
    one["metadata"].update(meta)
    one["status"].update(status)
    port = {"name": "http", "port": 80, "targetPort": target}
    _, found = converted(service(selector={"app": "web"}, ports=[port]), one)
    assert [(each.ports["http"], each.health) for each in found] == ([expected] if expected else [])


def test_tcp_stays_where_udp_has_the_same_number() -> None:
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53}]
    snapshot = snapshot_of([service(ports=ports)], MeshConfig())
    found = snapshot.view(read_proxy({"namespace": "shop"})).services[HOST]
    assert [(one.name, one.protocol) for one in found.ports] == [("dns-tcp", Protocol.TCP)]


def test_a_service_selects_workload_entries_and_its_proxies_by_label() -> None:
    entry = {"apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry",
             "metadata": {"name": "vm", "namespace": "shop"},
             "spec": {"address": "10.2.2.2", "labels": {"app": "web"}}}  # fmt: skip
    snapshot = snapshot_of([service(selector={"app": "web"}), entry], MeshConfig())
    view = snapshot.view(read_proxy({"namespace": "shop", "labels": {"app": "web"}}))
    assert [one.address for one in view.endpoints[HOST]] == ["10.2.2.2"]
    assert [one.host for one in view.own] == [HOST]


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


def test_pods_are_instances_of_service_entries_and_of_their_services_once() -> None:
    entry = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "hosts": ["web.example.com"],
            "location": "MESH_INTERNAL",
            "resolution": "STATIC",
            "ports": [{"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 8080}],
            "workloadSelector": {"labels": {"app": "web"}},
        },
    }
    ended = {**pod("c", "10.1.1.3"), "status": {"podIP": "10.1.1.3", "phase": "Succeeded"}}
    pods = [pod("a", "10.1.1.1"), pod("b", "10.1.1.2", app="db"), ended]
    snapshot = snapshot_of([service(selector={"app": "web"}), entry, *pods], MeshConfig())
    found = snapshot.view(read_proxy({"namespace": "shop"})).endpoints
    (one,) = found["web.example.com"]
    assert (one.address, one.ports, one.service_account) == ("10.1.1.1", {"http": 8080}, "a-account")
    assert [each.address for each in found[HOST]] == ["10.1.1.1"]


def test_names_of_instances_mean_a_headless_service() -> None:
    objects = [service(clusterIP="None", ports=[{"name": "http", "port": 80}])]
    view = snapshot_of(objects, MeshConfig()).view(read_proxy({"namespace": "shop"}))
    host: Any = messages(view)[ROUTES]["80"].virtual_hosts[0]  # type: ignore[attr-defined]
    assert {"web", "*.web", f"*.{HOST}"} <= set(host.domains)
    fixed = snapshot_of([service()], MeshConfig()).view(read_proxy({"namespace": "shop"}))
    host = messages(fixed)[ROUTES]["80"].virtual_hosts[0]  # type: ignore[attr-defined]
    assert not [domain for domain in host.domains if "*" in domain]


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
        pytest.param([service(ports=8)], "Service/shop/web: spec.ports: must be a list", id="wrong-type"),
        pytest.param(
            [{**service(), "metadata": []}],
            "Service/default/.unnamed.: metadata: must be an object", id="no-metadata",
        ),
        pytest.param(
            [service(ports=[{}])], "Service/shop/web: spec.ports.0..port: is required", id="no-port"
        ),
        pytest.param(
            [service(ports=[{"port": 70000}])], "spec.ports.0..port: must be a port number", id="port-range"
        ),
        pytest.param([service(selector={"a": 1})], "spec.selector: must be names with texts", id="selector"),
        pytest.param(
            [service(ports=[{"port": 1, "targetPort": True}])],
            "targetPort: must not be true or false", id="target-port",
        ),
        pytest.param([named("Pod", "a", status=[])], "Pod/shop/a: status: must be an object", id="pod"),
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
