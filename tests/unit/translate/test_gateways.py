"""What routers open, and whose requests they send where."""

from __future__ import annotations

import json
from typing import Any

import pytest
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import DownstreamTlsContext
from translate_mesh import reached as walked
from translate_mesh import service_entry, view_of

from artemon.translate.listeners import listeners
from artemon.translate.routes import routes

ROUTER = {"type": "router", "labels": {"app": "gateway"}}
WEB = service_entry("web.default.svc.cluster.local", [(9080, "HTTP")])
SECRET, ROOTS = "kubernetes://c", "kubernetes://c-cacert"
TO_WEB = "outbound|9080||web.default.svc.cluster.local"


def resource(kind: str, name: str, spec: dict[str, Any], year: int = 2020) -> str:
    meta = {"name": name, "creationTimestamp": f"{year}-01-01T00:00:00Z"}
    fields = {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": meta, "spec": spec}
    return json.dumps(fields)


def gateway(*servers: dict[str, Any], name: str = "gw", year: int = 2020) -> str:
    return resource("Gateway", name, {"selector": {"app": "gateway"}, "servers": list(servers)}, year)


def server(number: int, protocol: str, hosts: list[str], **more: Any) -> dict[str, Any]:
    port = {"number": number, "name": f"{protocol.lower()}-{number}", "protocol": protocol}
    return {"port": port, "hosts": hosts, **more}


def bound(name: str, hosts: list[str], prefix: str = "/", year: int = 2020, **more: Any) -> str:
    http = [{"match": [{"uri": {"prefix": prefix}}], "route": [{"destination": {"host": "web"}}]}]
    return resource("VirtualService", name, {"hosts": hosts, "gateways": ["gw"], "http": http, **more}, year)


def reached(*objects: str, proxy: dict[str, Any] | None = None, **call: Any) -> dict[str, Any]:
    view = view_of("\n---\n".join((WEB, *objects)), proxy or ROUTER)
    return walked(view, **{"protocol": "http", "mode": "gateway", **call})


def test_http_by_host() -> None:
    objects = (gateway(server(80, "HTTP", ["*.example.com"])), bound("web", ["a.example.com", "b.other.com"]))
    found = reached(*objects, port=80, host="a.example.com:80")
    assert (found["listener"], found["routeConfig"], found["virtualHost"]) == (
        "0.0.0.0_80",
        "http.80",
        "a.example.com:80",
    )
    assert found["cluster"] == TO_WEB
    assert reached(*objects, port=80, host="b.other.com")["error"] == "no virtual host matched"


def test_rules_for_one_host_are_merged_by_age() -> None:
    objects = (
        gateway(server(80, "HTTP", ["*"])),
        bound("new", ["a.com"], "/new", 2021, http=[{"directResponse": {"status": 200}}]),
        bound("old", ["a.com"], "/x", 2019),
    )  # fmt: skip
    assert reached(*objects, port=80, host="a.com", path="/x")["cluster"] == TO_WEB


def test_a_server_admits_rules_of_the_namespaces_it_names() -> None:
    for prefix, reaches in (("default/", True), (".", True), ("prod/", False), ("*/", True)):
        host = f"{prefix}/a.com" if prefix == "." else f"{prefix}a.com"
        found = reached(gateway(server(80, "HTTP", [host])), bound("web", ["a.com"]), port=80, host="a.com")
        assert ("cluster" in found) == reaches, prefix


def test_a_port_is_opened_where_the_router_says() -> None:
    ports = [{"number": 80, "name": "http", "protocol": "HTTP", "listenPort": 18080}]
    proxy = {**ROUTER, "metadata": {"ARTEMON_PORTS": ports}}
    objects = (gateway(server(80, "HTTP", ["*"])), bound("web", ["a.com"]))
    found = reached(*objects, proxy=proxy, port=18080, host="a.com")
    assert (found["routeConfig"], found["virtualHost"], found["cluster"]) == (
        "http.18080",
        "a.com:80",
        TO_WEB,
    )


def test_plain_requests_are_sent_to_https() -> None:
    redirecting = gateway(server(80, "HTTP", ["a.com"], tls={"httpsRedirect": True}))
    for objects in ((redirecting,), (redirecting, bound("web", ["a.com"]))):
        view = view_of("\n---\n".join((WEB, *objects)), ROUTER)
        host = routes(view)["http.80"].virtual_hosts[0]
        assert (host.name, host.domains[:], host.require_tls) == ("a.com:80", ["a.com"], host.ALL)


@pytest.mark.parametrize(
    ("tls", "certificate", "roots", "asks"),
    [
        pytest.param({"mode": "SIMPLE", "credentialName": "c"}, SECRET, "", False, id="simple"),
        pytest.param({"mode": "MUTUAL", "credentialName": "c"}, SECRET, ROOTS, True, id="mutual"),
        pytest.param(
            {"mode": "MUTUAL", "serverCertificate": "/c", "privateKey": "/k", "caCertificates": "/r"},
            "file-cert:/c~/k", "file-root:/r", True, id="files",
        ),
        pytest.param(
            {"mode": "OPTIONAL_MUTUAL", "credentialName": "c"}, SECRET, ROOTS, False, id="optional"
        ),
        pytest.param({"mode": "ISTIO_MUTUAL"}, "default", "ROOTCA", True, id="istio-mutual"),
    ],
)  # fmt: skip
def test_tls_ends_here(tls: dict[str, Any], certificate: str, roots: str, asks: bool) -> None:
    objects = (WEB, gateway(server(443, "HTTPS", ["a.com"], tls=tls)), bound("web", ["a.com"]))
    view = view_of("\n---\n".join(objects), ROUTER)
    chain, context = listeners(view)["0.0.0.0_443"].filter_chains[0], DownstreamTlsContext()
    chain.transport_socket.typed_config.Unpack(context)
    common = context.common_tls_context
    assert chain.filter_chain_match.server_names[:] == ["a.com"]
    assert common.tls_certificate_sds_secret_configs[0].name == certificate
    assert common.combined_validation_context.validation_context_sds_secret_config.name == roots
    assert context.require_client_certificate.value == asks
    assert context.disable_stateless_session_resumption
    spoken = "mtls" if certificate == "default" else "tls"
    found = walked(view, port=443, protocol="http", tls=spoken, host="a.com", sni="a.com", mode="gateway")
    assert (found["routeConfig"], found["cluster"]) == ("https.443.https-443.gw.default", TO_WEB)


def test_tls_passes_through_by_server_name() -> None:
    tls = [{"match": [{"port": 443, "sniHosts": ["a.com"]}], "route": [{"destination": {"host": "web"}}]}]
    rule = resource("VirtualService", "web", {"hosts": ["a.com"], "gateways": ["gw"], "tls": tls})
    objects = (gateway(server(443, "TLS", ["*.com"], tls={"mode": "PASSTHROUGH"})), rule)
    assert reached(*objects, port=443, tls="tls", sni="a.com")["cluster"] == TO_WEB
    assert reached(*objects, port=443, tls="tls", sni="b.com")["error"] == "no filter chains matched"


def test_of_gateways_that_disagree_on_a_port_the_older_stands() -> None:
    tcp = [{"route": [{"destination": {"host": "web"}}]}]
    rule = resource("VirtualService", "tcp", {"hosts": ["*"], "gateways": ["other"], "tcp": tcp})
    for year, routed in ((2019, None), (2021, "http.80")):
        objects = (
            gateway(server(80, "HTTP", ["*"])),
            gateway(server(80, "TCP", ["*"]), name="other", year=year),
            rule,
            bound("web", ["a.com"]),
        )
        found = reached(*objects, port=80, host="a.com")
        assert (found.get("routeConfig"), found["cluster"]) == (routed, TO_WEB)


def test_a_router_without_a_gateway_opens_nothing() -> None:
    view = view_of(WEB, ROUTER)
    assert (listeners(view), routes(view)) == ({}, {})
