"""Gateway and Sidecar: which field of which spec is refused."""

from __future__ import annotations

from typing import Any

import pytest
from istio_specs import found

HTTP = {"number": 80, "name": "http", "protocol": "HTTP"}
HTTPS = {"number": 443, "name": "https", "protocol": "HTTPS"}
FILES = {"serverCertificate": "c", "privateKey": "k"}


def server(**change: Any) -> dict[str, Any]:
    return {"selector": {"app": "gw"}, "servers": [{"hosts": ["a.b"], "port": HTTP, **change}]}


def secure(**tls: Any) -> dict[str, Any]:
    return server(port=HTTPS, tls=tls)


S = "spec.servers[0]"


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"selector": {"app": "gw"}}, "spec.servers"),
        (server(hosts=[]), f"{S}.hosts"),
        (server(hosts=["short"]), f"{S}.hosts[0]"),
        (server(hosts=["*a.b"]), f"{S}.hosts[0]"),
        (server(hosts=["~/a.b"]), f"{S}.hosts[0]"),
        (server(port={**HTTP, "protocol": "SMTP"}), f"{S}.port.protocol"),
        (server(port={**HTTP, "protocol": ""}), f"{S}.port.protocol"),
        (server(port={**HTTP, "name": ""}), f"{S}.port.name"),
        (server(port={**HTTP, "number": 0}), f"{S}.port.number"),
        (server(port={**HTTP, "targetPort": 8080}), f"{S}.port.targetPort"),
        (server(bind="a.b"), f"{S}.bind"),
        (server(bind="unix:///a"), f"{S}.port.number"),
        (server(bind="unix://a", port={**HTTP, "number": 0}), f"{S}.bind"),
        (server(port=HTTPS), f"{S}.tls"),
        (server(tls={"mode": "SIMPLE", **FILES}), f"{S}.tls"),
        (server(port={**HTTP, "protocol": "TCP"}, tls={"httpsRedirect": True}), f"{S}.tls"),
        ({"servers": [server()["servers"][0], server()["servers"][0]]}, "spec.servers[1].port.name"),
        (secure(mode="SIMPLE", serverCertificate="c"), f"{S}.tls.privateKey"),
        (secure(mode="SIMPLE", credentialName="a", credentialNames=["b"]), f"{S}.tls"),
        (secure(mode="SIMPLE", caCrl="x", **FILES), f"{S}.tls.caCrl"),
        (secure(mode="MUTUAL", caCrl="x", credentialName="a"), f"{S}.tls.caCrl"),
        (secure(mode="MUTUAL", **FILES), f"{S}.tls.caCertificates"),
        (secure(mode="ISTIO_MUTUAL", credentialName="a"), f"{S}.tls.credentialName"),
        (secure(mode="ISTIO_MUTUAL", tlsCertificates=[FILES]), f"{S}.tls.tlsCertificates"),
    ],
)
def test_gateway_is_refused(spec: dict[str, Any], path: str) -> None:
    assert set(found("gw", spec)) == {path}


@pytest.mark.parametrize(
    "spec",
    [
        server(hosts=["*", "1.2.3.4", "ns/*.a.b", "./a.b"]),
        server(tls={"httpsRedirect": True}),
        server(bind="unix:///a", port={**HTTP, "number": 0}),
        server(port={**HTTP, "protocol": "grpc-web"}, bind="::"),
        secure(mode="PASSTHROUGH"),
        secure(mode="SIMPLE", credentialNames=["a", "b"]),
        secure(mode="SIMPLE", tlsCertificates=[FILES, FILES]),
        secure(mode="MUTUAL", caCertificates="ca", **FILES),
        secure(mode="OPTIONAL_MUTUAL", credentialName="a"),
        secure(mode="ISTIO_MUTUAL"),
    ],
)
def test_gateway_is_accepted(spec: dict[str, Any]) -> None:
    assert found("gw", spec) == {}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (secure(mode="PASSTHROUGH", **FILES), f"{S}.tls"),
        (secure(mode="SIMPLE", tlsCertificates=[FILES] * 3), f"{S}.tls.tlsCertificates"),
        (secure(mode="SIMPLE", cipherSuites=["x"], **FILES), f"{S}.tls.cipherSuites[0]"),
        (secure(mode="SIMPLE", cipherSuites=["AES128-SHA"] * 2, **FILES), f"{S}.tls.cipherSuites[1]"),
        (secure(mode="SIMPLE", minProtocolVersion="TLSV1_1", **FILES), f"{S}.tls.cipherSuites"),
        (secure(mode="SIMPLE", httpsRedirect=True, **FILES), f"{S}.tls.httpsRedirect"),
    ],
)
def test_gateway_is_warned_about(spec: dict[str, Any], path: str) -> None:
    assert set(found("gw", spec, level="warning")) == {path}
    assert found("gw", spec) == {}


def test_a_gateway_s_name_has_no_dots_unless_it_was_made_from_gateway_api() -> None:
    assert set(found("gw", server(), name="a.b")) == {"metadata.name"}
    semantics = {"internal.istio.io/gateway-semantics": "gateway"}
    assert not found("gw", server(hosts=["~/a.b"]), name="a.b", annotations=semantics)


def ingress(**change: Any) -> dict[str, Any]:
    return {"ingress": [{"port": {"number": 80, "protocol": "HTTP"}, **change}]}


def egress(**change: Any) -> dict[str, Any]:
    return {"egress": [{"hosts": ["./*"], **change}]}


IN, OUT = "spec.ingress[0]", "spec.egress[0]"
TLS_PORT = {"number": 443, "protocol": "TLS"}
SOCKET = {"port": {"number": 0, "protocol": "HTTP"}, "bind": "unix:///a"}
ANY = "spec.outboundTrafficPolicy"
PROXY = {"host": "a.b", "port": {"number": 80}}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({}, "spec"),
        ({"workloadSelector": {"labels": {"a": "b"}}}, "spec"),
        ({**egress(), "workloadSelector": {"labels": {"a*": "b"}}}, 'spec.workloadSelector.labels["a*"]'),
        (ingress(port={"number": 0, "protocol": "HTTP"}), f"{IN}.port.number"),
        (ingress(port={"number": 80, "protocol": "SMTP"}), f"{IN}.port.protocol"),
        (ingress(port={"number": 80, "name": "a.b"}), f"{IN}.port.name"),
        (ingress(port={"number": 80, "targetPort": 81}), f"{IN}.port.targetPort"),
        (ingress(bind="unix:///a"), f"{IN}.bind"),
        (ingress(defaultEndpoint="1.2.3.4:80"), f"{IN}.defaultEndpoint"),
        (ingress(defaultEndpoint="127.0.0.1:0"), f"{IN}.defaultEndpoint"),
        (ingress(defaultEndpoint="127.0.0.1"), f"{IN}.defaultEndpoint"),
        (ingress(defaultEndpoint="unix://a"), f"{IN}.defaultEndpoint"),
        ({"ingress": ingress()["ingress"] * 2}, "spec.ingress[1].port.number"),
        (ingress(tls={"mode": "SIMPLE", **FILES}), f"{IN}.tls"),
        (ingress(port=TLS_PORT, tls={"mode": "ISTIO_MUTUAL"}), f"{IN}.tls.mode"),
        (ingress(port=TLS_PORT, tls={"mode": "SIMPLE", "credentialName": "a"}), f"{IN}.tls.credentialName"),
        (ingress(connectionPool={}), f"{IN}.connectionPool"),
        (
            {**egress(), "inboundConnectionPool": {"http": {"maxRetries": -1}}},
            "spec.inboundConnectionPool.http.maxRetries",
        ),
        (egress(hosts=[]), f"{OUT}.hosts"),
        (egress(hosts=["a.b"]), f"{OUT}.hosts[0]"),
        (egress(hosts=["ns/short"]), f"{OUT}.hosts[0]"),
        (egress(hosts=["n.s/*"]), f"{OUT}.hosts[0]"),
        ({"egress": egress()["egress"] * 2}, "spec.egress[0]"),
        (egress(port={"number": 80, "targetPort": 1}), f"{OUT}.port.targetPort"),
        (egress(port={"number": 80}, bind="unix:///a"), f"{OUT}.bind"),
        (egress(port={"protocol": "HTTP"}), f"{OUT}.port.number"),
        (egress(**SOCKET, captureMode="IPTABLES"), f"{OUT}.captureMode"),
        ({"egress": [{"hosts": ["./*"], **SOCKET}] * 2}, "spec.egress[1].port"),
        ({"egress": [{"hosts": ["./*"], "port": {"number": 80}}] * 2}, "spec.egress[1].port"),
        ({"outboundTrafficPolicy": {"egressProxy": PROXY}}, f"{ANY}.egressProxy"),
        (
            {"outboundTrafficPolicy": {"mode": "ALLOW_ANY", "egressProxy": {"host": "a"}}},
            f"{ANY}.egressProxy.port",
        ),
        (
            {"outboundTrafficPolicy": {"mode": "ALLOW_ANY", "egressProxy": {**PROXY, "host": "*.a"}}},
            f"{ANY}.egressProxy.host",
        ),
    ],
)
def test_sidecar_is_refused(spec: dict[str, Any], path: str) -> None:
    assert set(found("sidecar", spec)) == {path}


@pytest.mark.parametrize(
    "spec",
    [
        egress(hosts=["*/*"]),
        egress(hosts=["~/*"]),
        {
            "egress": [
                {"hosts": ["./*"], **SOCKET},
                {"hosts": ["./*"], "port": {"number": 9}},
                {"hosts": ["./*"]},
            ]
        },
        ingress(defaultEndpoint="[::1]:8080", bind="1.2.3.4"),
        ingress(defaultEndpoint="unix:///a"),
        ingress(defaultEndpoint=":8080", port={"number": 80}),
        ingress(port=TLS_PORT, tls={"mode": "SIMPLE", **FILES}),
        {"outboundTrafficPolicy": {"mode": "ALLOW_ANY", "egressProxy": PROXY}},
        {"inboundConnectionPool": {"http": {"maxRetries": 1}}},
    ],
)
def test_sidecar_is_accepted(spec: dict[str, Any]) -> None:
    assert found("sidecar", spec) == {}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({**egress(), "workloadSelector": {}}, "spec.workloadSelector.labels"),
        (egress(hosts=["a/b.c", "a/b.c"]), f"{OUT}.hosts[1]"),
        (egress(hosts=["./*", "bookinfo/b.c"]), f"{OUT}.hosts[1]"),
        (egress(hosts=["*/*", "a/b.c"]), f"{OUT}.hosts"),
    ],
)
def test_sidecar_is_warned_about(spec: dict[str, Any], path: str) -> None:
    assert set(found("sidecar", spec, level="warning")) == {path}
    assert found("sidecar", spec) == {}
