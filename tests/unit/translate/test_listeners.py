"""Who gets in and out by which listener and chain, for sidecars with and without interception."""

from __future__ import annotations

import json
from typing import Any

import pytest
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import DownstreamTlsContext
from google.protobuf.json_format import MessageToDict
from translate_mesh import reached, service_entry, view_of

from artemon.snapshot.view import ProxyView
from artemon.translate.listeners import listeners
from artemon.translate.routes import routes

DIRECT = {"ipAddresses": ["127.0.1.7"], "metadata": {"INTERCEPTION_MODE": "NONE"}}
WEB = service_entry(
    "web.default.svc.cluster.local",
    [(80, "HTTP"), (81, ""), (82, "TCP")],
    endpoints=[{"address": "1.1.1.1"}, {"address": "127.0.1.7"}],
)


def policy(mode: str) -> str:
    return custom("PeerAuthentication", "default", {"mtls": {"mode": mode}}, group="security")


def custom(kind: str, name: str, spec: dict[str, Any], group: str = "networking") -> str:
    fields = {"apiVersion": f"{group}.istio.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
    return json.dumps(fields)


def mesh(
    *objects: str, proxy: dict[str, Any] | None = None, config: dict[str, Any] | None = None
) -> ProxyView:
    return view_of("\n---\n".join(objects), proxy, config)


HTTP, TCP = "http", "tcp"
REFUSED = "no filter chains matched"
INBOUND = [  # mode, port, protocol of the call, TLS of the call -> HTTP, bytes, or why not
    ("STRICT", 80, HTTP, "mtls", HTTP),
    ("STRICT", 80, HTTP, "plaintext", REFUSED),
    ("STRICT", 80, HTTP, "tls", "invalid mTLS"),
    ("STRICT", 81, HTTP, "mtls", HTTP),
    ("STRICT", 81, TCP, "mtls", TCP),
    ("STRICT", 81, HTTP, "plaintext", REFUSED),
    ("STRICT", 82, TCP, "mtls", TCP),
    ("STRICT", 82, TCP, "plaintext", REFUSED),
    ("PERMISSIVE", 80, HTTP, "mtls", HTTP),
    ("PERMISSIVE", 80, HTTP, "plaintext", HTTP),
    ("PERMISSIVE", 80, HTTP, "tls", REFUSED),
    ("PERMISSIVE", 81, HTTP, "mtls", HTTP),
    ("PERMISSIVE", 81, HTTP, "plaintext", HTTP),
    ("PERMISSIVE", 81, TCP, "mtls", TCP),
    ("PERMISSIVE", 81, TCP, "plaintext", TCP),
    ("PERMISSIVE", 81, HTTP, "tls", TCP),
    ("PERMISSIVE", 82, TCP, "mtls", TCP),
    ("PERMISSIVE", 82, TCP, "tls", TCP),
    ("PERMISSIVE", 82, TCP, "plaintext", TCP),
    ("DISABLE", 80, HTTP, "plaintext", HTTP),
    ("DISABLE", 80, HTTP, "mtls", "protocol error"),
    ("DISABLE", 81, HTTP, "plaintext", HTTP),
    ("DISABLE", 81, TCP, "plaintext", TCP),
    ("DISABLE", 81, HTTP, "mtls", TCP),
    ("DISABLE", 82, TCP, "mtls", TCP),
]


@pytest.mark.parametrize("proxy", [pytest.param({}, id="intercepted"), pytest.param(DIRECT, id="direct")])
@pytest.mark.parametrize(("mode", "port", "protocol", "tls", "outcome"), INBOUND)
def test_inbound_by_mode_and_protocol(
    proxy: dict[str, Any], mode: str, port: int, protocol: str, tls: str, outcome: str
) -> None:
    found = reached(
        mesh(WEB, policy(mode), proxy=proxy), port=port, protocol=protocol, tls=tls, mode="inbound"
    )
    if outcome not in (HTTP, TCP):
        assert found["error"] == outcome
        return
    assert found["cluster"] == f"inbound|{port}||"
    assert found.get("virtualHost") == (f"inbound|http|{port}" if outcome == HTTP else None)
    assert found["listener"] == ("virtualInbound" if not proxy else f"127.0.1.7_{port}")


def strict_chain(view: ProxyView) -> tuple[DownstreamTlsContext, HttpConnectionManager]:
    chain = listeners(view)["127.0.1.7_80"].filter_chains[0]
    context, manager = DownstreamTlsContext(), HttpConnectionManager()
    chain.transport_socket.typed_config.Unpack(context)
    chain.filters[0].typed_config.Unpack(manager)
    return context, manager


def test_mutual_tls_asks_for_certificates_of_the_mesh_and_resumes_nothing() -> None:
    config = {"trustDomain": "a.example", "trustDomainAliases": ["b.example"]}
    context, _ = strict_chain(mesh(WEB, policy("STRICT"), proxy=DIRECT, config=config))
    assert context.require_client_certificate.value
    assert context.disable_stateless_session_resumption
    assert context.disable_stateful_session_resumption
    common = MessageToDict(context.common_tls_context)
    assert common["tlsParams"] == {
        "tlsMinimumProtocolVersion": "TLSv1_2",
        "tlsMaximumProtocolVersion": "TLSv1_3",
    }
    own = common["tlsCertificateSdsSecretConfigs"][0]
    agent = own["sdsConfig"]["apiConfigSource"]["grpcServices"][0]["envoyGrpc"]["clusterName"]
    assert (own["name"], agent) == ("default", "sds-grpc")
    validation = common["combinedValidationContext"]
    assert validation["validationContextSdsSecretConfig"]["name"] == "ROOTCA"
    assert validation["defaultValidationContext"]["matchTypedSubjectAltNames"] == [
        {"sanType": "URI", "matcher": {"prefix": f"spiffe://{domain}/"}}
        for domain in ("a.example", "b.example")
    ]


def test_requests_are_looked_at_as_istio_does() -> None:
    _, manager = strict_chain(mesh(WEB, policy("STRICT"), proxy=DIRECT))
    assert [one.name.rpartition(".")[2] for one in manager.http_filters] == [
        "grpc_stats",
        "fault",
        "cors",
        "router",
    ]
    fields = MessageToDict(manager)
    assert fields["statPrefix"] == "inbound_0.0.0.0_80;"
    assert fields["forwardClientCertDetails"] == "APPEND_FORWARD"
    assert fields["setCurrentClientCertDetails"] == {"subject": True, "dns": True, "uri": True}
    assert fields["serverHeaderTransformation"] == "PASS_THROUGH"
    assert fields["upgradeConfigs"] == [{"upgradeType": "websocket"}]
    assert (fields["normalizePath"], fields["streamIdleTimeout"]) == (True, "0s")
    assert [one["name"] for one in fields["accessLog"]] == ["envoy.access_loggers.stats"]


def test_a_workload_says_where_it_listens_and_where_its_application_does() -> None:
    port = {"number": 9080, "name": "http", "protocol": "HTTP", "listenPort": 19080, "appPort": 8000}
    proxy = {**DIRECT, "metadata": {"INTERCEPTION_MODE": "NONE", "ARTEMON_PORTS": [port]}}
    found = listeners(mesh(policy("STRICT"), proxy=proxy))
    assert list(found) == ["127.0.1.7_19080"]
    assert MessageToDict(found["127.0.1.7_19080"].address) == {
        "socketAddress": {"address": "127.0.1.7", "portValue": 19080}
    }


def test_without_interception_only_what_was_asked_for_is_bound() -> None:
    wants_proxy = {**DIRECT, "metadata": {"INTERCEPTION_MODE": "NONE", "HTTP_PROXY_PORT": 15999}}
    other = service_entry("db.default.svc.cluster.local", [(5432, "TCP"), (80, "HTTP")])
    asked = [
        {
            "port": {"number": 5432, "name": "tcp", "protocol": "TCP"},
            "hosts": ["./db.default.svc.cluster.local"],
        },
        {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "bind": "127.0.1.8", "hosts": ["./*"]},
    ]
    sidecar = custom("Sidecar", "default", {"egress": asked})
    assert set(listeners(mesh(other, proxy=DIRECT))) == set()
    assert set(listeners(mesh(other, proxy=wants_proxy))) == {"127.0.1.7_15999"}
    view = mesh(other, sidecar, proxy=wants_proxy)
    assert set(listeners(view)) == {"127.0.1.7_15999", "127.0.1.7_5432", "127.0.1.8_80"}
    assert reached(view, port=5432)["cluster"] == "outbound|5432||db.default.svc.cluster.local"
    assert (
        reached(view, port=80, protocol=HTTP, host="127.0.1.8")["virtualHost"]
        == "db.default.svc.cluster.local:80"
    )
    assert not any(one.HasField("bind_to_port") for one in listeners(view).values())


def test_a_sidecar_resource_shapes_the_way_in() -> None:
    ingress = [
        {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "defaultEndpoint": "127.0.0.1:8080"},
        {
            "port": {"number": 90, "name": "own", "protocol": "HTTP"},
            "captureMode": "NONE",
            "bind": "127.0.1.9",
        },
    ]
    view = mesh(WEB, policy("STRICT"), custom("Sidecar", "default", {"ingress": ingress}))
    assert set(listeners(view)) >= {"virtualInbound", "127.0.1.9_90"}
    for port, listener in ((80, "virtualInbound"), (90, "127.0.1.9_90")):
        found = reached(view, port=port, protocol=HTTP, tls="mtls", mode="inbound")
        assert (found["listener"], found["cluster"]) == (listener, f"inbound|{port}||")
    assert reached(view, port=82, tls="mtls", mode="inbound")["cluster"] == "InboundPassthroughCluster"


def test_a_sidecar_resource_shapes_the_way_out_when_intercepted() -> None:
    services = [service_entry(f"{name}.example.com", [(443, "TLS"), (80, "HTTP")]) for name in ("a", "b")]
    tls, uds = ({"number": number, "name": p.lower(), "protocol": p} for number, p in PORTS)
    asked = [
        {"port": tls, "bind": "10.9.9.9", "hosts": ["./a.example.com"]},
        {"port": uds, "bind": "unix:///run/out", "hosts": ["./*"]},
        {"hosts": ["./b.example.com"]},
    ]
    view = mesh(*services, custom("Sidecar", "default", {"egress": asked}))
    found, tables = listeners(view), routes(view)
    assert set(found) == {
        "virtualInbound", "virtualOutbound", "10.9.9.9_443", "unix:///run/out_0", "0.0.0.0_443", "0.0.0.0_80",
    }  # fmt: skip
    assert reached(view, port=443, address="10.9.9.9", sni="x")["cluster"] == "outbound|443||a.example.com"
    assert reached(view, port=443, address="10.0.0.1", sni="a.example.com")["cluster"] == "PassthroughCluster"
    assert reached(view, port=80, protocol=HTTP, host="a.example.com")["virtualHost"] == "allow_any"
    assert {host.name for host in tables["unix:///run/out"].virtual_hosts} == {
        "a.example.com:80", "b.example.com:80", "allow_any",
    }  # fmt: skip


PORTS = ((443, "TLS"), (0, "HTTP"))
API, DB = "outbound|{}||api.example.com", "outbound|{}||db.example.com"
ON, AWAY = {"address": "10.1.1.1"}, "PassthroughCluster"
WEB_CALL = {"port": 80, "protocol": HTTP}
OUTBOUND = [
    pytest.param({**WEB_CALL, "host": "api.example.com"}, API.format(80), "0.0.0.0_80", id="http"),
    pytest.param({**WEB_CALL, "host": "x"}, AWAY, "0.0.0.0_80", id="http-unknown-host"),
    pytest.param({"port": 80, "tls": "tls", "sni": "x"}, AWAY, "0.0.0.0_80", id="tls-on-http-port"),
    pytest.param({"port": 82, **ON}, DB.format(82), "10.1.1.1_82", id="tcp-address"),
    pytest.param({"port": 82, "address": "10.1.1.2"}, AWAY, "virtualOutbound", id="other-address"),
    pytest.param(
        {**WEB_CALL, **ON, "port": 83, "host": "db.example.com"},
        DB.format(83),
        "10.1.1.1_83",
        id="auto-http",
    ),
    pytest.param({"port": 83, **ON}, DB.format(83), "10.1.1.1_83", id="auto-tcp"),
    pytest.param({"port": 443, "sni": "api.example.com"}, API.format(443), "0.0.0.0_443", id="sni"),
    pytest.param({"port": 443, "sni": "z.example.com"}, AWAY, "0.0.0.0_443", id="other-sni"),
    pytest.param(
        {"port": 84, "address": "10.7.1.1"}, "outbound|84||block.example.com", "0.0.0.0_84", id="block"
    ),
    pytest.param({"port": 84, "address": "10.8.1.1"}, AWAY, "0.0.0.0_84", id="outside-block"),
    pytest.param({"port": 9999}, AWAY, "virtualOutbound", id="unknown-port"),
    pytest.param({"port": 15001}, "BlackHoleCluster", "virtualOutbound", id="loop"),
]


@pytest.mark.parametrize("policy_", ["ALLOW_ANY", "REGISTRY_ONLY"])
@pytest.mark.parametrize(("call", "cluster", "listener"), OUTBOUND)
def test_outbound_when_intercepted(call: dict[str, Any], cluster: str, listener: str, policy_: str) -> None:
    view = mesh(
        service_entry("api.example.com", [(80, "HTTP"), (443, "HTTPS")]),
        service_entry("db.example.com", [(82, "TCP"), (83, "")], addresses=["10.1.1.1"]),
        service_entry("block.example.com", [(84, "TCP")], addresses=["10.7.0.0/16"]),
        config={"outboundTrafficPolicy": {"mode": policy_}},
    )
    found = reached(view, **call)
    assert found["listener"] == listener
    if cluster == "PassthroughCluster" and policy_ == "REGISTRY_ONLY":
        cluster = "" if call.get("protocol") == HTTP else "BlackHoleCluster"
    assert found.get("cluster", "") == cluster


def test_tcp_rules_split_by_weight_and_subnet() -> None:
    rule = custom("VirtualService", "db", {
        "hosts": ["db.example.com"],
        "tcp": [
            {"match": [{"sourceLabels": {"app": "other"}}], "route": [{"destination": {"host": "nowhere"}}]},
            {"route": [
                {"destination": {"host": "db.example.com", "subset": "v1"}, "weight": 80},
                {"destination": {"host": "db.example.com", "subset": "v2"}, "weight": 20},
            ]},
        ],
    })  # fmt: skip
    view = mesh(service_entry("db.example.com", [(82, "TCP")], addresses=["10.1.1.1"]), rule)
    assert reached(view, port=82, address="10.1.1.1")["cluster"] == {
        "outbound|82|v1|db.example.com": 80,
        "outbound|82|v2|db.example.com": 20,
    }


def test_the_same_view_gives_the_same_bytes() -> None:
    view = mesh(WEB, policy("PERMISSIVE"))
    first, second = (
        [
            one.SerializeToString(deterministic=True)
            for many in (listeners(view), routes(view))
            for one in many.values()
        ]
        for _ in range(2)
    )
    assert first == second


def test_what_should_have_been_refused_at_the_door_hurts_only_itself() -> None:
    gopher = {"port": {"number": 70, "name": "x", "protocol": "GOPHER"}, "hosts": ["./*"]}
    nowhere = {"match": [{"destinationSubnets": ["everywhere"]}], "route": [{"destination": {"host": "no"}}]}
    somewhere = {"route": [{"destination": {"host": "web"}}]}
    bad = [
        custom("Sidecar", "default", {"egress": [gopher, {"hosts": ["./*"]}]}),
        custom("VirtualService", "web", {"hosts": ["web"], "tcp": [nowhere, somewhere]}),
        service_entry("odd.example.com", [(82, "TCP")], addresses=["not-an-address"]),
    ]
    view = mesh(WEB, *bad)
    assert reached(view, port=82, tls="mtls", mode="inbound")["cluster"] == "inbound|82||"
    assert reached(view, port=82)["cluster"] == "outbound|82||odd.example.com"
