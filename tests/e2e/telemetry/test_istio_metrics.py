"""Istio's metrics out of real Envoys: every label, from both sides; what callers write changes nothing."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import grpc
import pytest
from real_envoy import envoy
from reporting_pair import CLIENT, PATIENCE, SERVER, Pair, running_pair
from translated_proxy import SPIFFE

pytestmark = [pytest.mark.envoy, pytest.mark.e2e]

BOTH = {
    "source_workload": "page-v1",
    "source_canonical_service": "page",
    "source_canonical_revision": "v1",
    "source_workload_namespace": "default",
    "source_principal": SPIFFE.format("page"),
    "source_app": "page",
    "source_version": "v1",
    "source_cluster": "east",
    "destination_workload": "reviews-v2",
    "destination_workload_namespace": "default",
    "destination_principal": SPIFFE.format("reviews"),
    "destination_app": "reviews",
    "destination_version": "v2",
    "destination_service": "reviews.default.svc.cluster.local",
    "destination_canonical_service": "reviews",
    "destination_canonical_revision": "v2",
    "destination_service_name": "reviews",
    "destination_service_namespace": "default",
}
SIDES = [
    pytest.param("page", "source", {"destination_cluster": "unknown"}, "unknown", id="source"),
    pytest.param("reviews", "destination", {"destination_cluster": "west"}, "mutual_tls", id="destination"),
]
FORGED = {
    "x-istio-attributes": "forged",
    "x-envoy-peer-metadata": "forged",
    "x-envoy-peer-metadata-id": "forged",
    "X_Envoy_Peer_Metadata": "forged",
    "X-ENVOY-PEER-METADATA-ID": "sidecar~9.9.9.9~forged.forged~forged.svc.cluster.local",
    "x-envoy-upstream-peer": "forged",
    "baggage": "k8s.deployment.name=forged,service.name=forged,service.version=forged",
    "x-envoy-original-dst-host": "9.9.9.9:9",
    "peer.workload": "forged",
    "content-type": "forged/type",
    "x-forwarded-client-cert": "URI=spiffe://forged",
    "user-agent": 'a|b"c',
}


def of(kind: str, name: str, spec: dict[str, Any]) -> dict[str, object]:
    group = "security" if kind == "AuthorizationPolicy" else "networking"
    return {"apiVersion": f"{group}.istio.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def nobody(name: str, port: dict[str, Any], endpoints: list[dict[str, Any]]) -> dict[str, object]:
    host = f"{name}.default.svc.cluster.local"
    more = {"location": "MESH_INTERNAL", "resolution": "STATIC", "endpoints": endpoints}
    return of("ServiceEntry", name, {"hosts": [host], "ports": [port], **more})


def mesh(pair: Pair) -> list[dict[str, object]]:
    """What goes wrong: services without anybody, faults, a timeout, a policy."""
    onward = [{"destination": {"host": "reviews.default.svc.cluster.local", "port": {"number": 9080}}}]
    rules = [
        {"match": [{"uri": {"exact": "/418"}}], "route": onward}
        | {"fault": {"abort": {"httpStatus": 418, "percentage": {"value": 100}}}},
        {"match": [{"headers": {"x-hurry": {"exact": "1"}}}], "route": onward, "timeout": "0.5s"},
        {"match": [{"uri": {"exact": "/moved"}}], "redirect": {"uri": "/200"}},
        {
            "match": [{"port": 9090}],
            "route": [{"destination": {**onward[0]["destination"], "port": {"number": 9090}}}],
        },
        {"route": onward},
    ]
    hosts = ["reviews.default.svc.cluster.local"]
    server = {"port": {"number": pair.gate, "name": "http", "protocol": "HTTP"}, "hosts": hosts}
    http, tcp = {"number": 9080, "name": "http", "protocol": "HTTP"}, {"name": "tcp", "protocol": "TCP"}
    dead = {"address": "127.0.41.9", "labels": {"app": "dead", "version": "v3"}}
    return [
        nobody("empty", http, []),
        nobody("dead", http, [{**dead, "ports": {"http": 1}}]),
        nobody("deadtcp", {**tcp, "number": pair.broken}, [{**dead, "ports": {"tcp": 1}}]),
        of("VirtualService", "reviews", {"hosts": hosts, "gateways": ["mesh", "gate"], "http": rules}),
        of("Gateway", "gate", {"selector": {"istio": "gate"}, "servers": [server]}),
        of(
            "AuthorizationPolicy",
            "denied",
            {
                "selector": {"matchLabels": {"app": "reviews"}},
                "action": "DENY",
                "rules": [{"to": [{"operation": {"paths": ["/denied"], "ports": [str(pair.http)]}}]}],
            },
        ),
    ]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    envoy()
    with running_pair(tmp_path_factory.mktemp("metrics"), mesh, gateway=True) as running:
        for path in ("/", "/404"):
            ask(running, f"http://reviews:9080{path}")
        yield running


def ask(pair: Pair, url: str, **headers: str) -> int:
    connection = http.client.HTTPConnection(CLIENT, pair.proxy, timeout=20)
    connection.request("GET", url, headers={**FORGED, **headers})
    answer = connection.getresponse()
    answer.read()
    return answer.status


@pytest.mark.parametrize(("proxy", "reporter", "cluster", "policy"), SIDES)
def test_http(pair: Pair, proxy: str, reporter: str, cluster: dict[str, str], policy: str) -> None:
    labels, count = pair.until(proxy, "istio_requests_total", response_code="200", request_protocol="http")
    assert count == 1
    assert labels == {
        **BOTH,
        **cluster,
        "reporter": reporter,
        "request_protocol": "http",
        "response_code": "200",
        "grpc_response_status": "",
        "response_flags": "-",
        "connection_security_policy": policy,
    }
    for name in ("request_duration_milliseconds", "request_bytes", "response_bytes"):
        found, times = pair.until(proxy, f"istio_{name}_count", response_code="200", request_protocol="http")
        assert (found, times) == (labels, 1)
    assert (
        pair.until(proxy, "istio_response_bytes_sum", response_code="200", request_protocol="http")[1] > 100
    )
    assert pair.until(proxy, "istio_requests_total", response_code="404")[1] == 1


@pytest.mark.parametrize(("proxy", "reporter", "cluster", "policy"), SIDES)
def test_grpc(pair: Pair, proxy: str, reporter: str, cluster: dict[str, str], policy: str) -> None:
    options = [("grpc.default_authority", "reviews:9090")]
    with grpc.insecure_channel(f"{CLIENT}:{pair.proxy}", options=options) as channel:
        assert channel.unary_unary("/test.Echo/Unary")(b"x", timeout=20) == b"x"
    found = pair.until(proxy, "istio_requests_total", request_protocol="grpc", reporter=reporter)[0]
    assert found == {
        **BOTH,
        **cluster,
        "reporter": reporter,
        "request_protocol": "grpc",
        "response_code": "200",
        "grpc_response_status": "0",
        "response_flags": "-",
        "connection_security_policy": policy,
    }


@pytest.mark.parametrize(("proxy", "reporter", "cluster", "policy"), SIDES)
def test_messages_of_grpc(
    pair: Pair, proxy: str, reporter: str, cluster: dict[str, str], policy: str
) -> None:
    def counted(name: str) -> float:
        return sum(value for (one, _), value in pair.metrics(proxy).items() if one == name)

    asked, answered = "istio_request_messages_total", "istio_response_messages_total"
    before = counted(asked), counted(answered)
    options = [("grpc.default_authority", "reviews:9090")]
    with grpc.insecure_channel(f"{CLIENT}:{pair.proxy}", options=options) as channel:
        twice = channel.stream_stream("/test.Echo/Twice")(iter([b"x"] * 5), timeout=20)
        assert len(list(twice)) == 10
        for _ in range(2):
            assert channel.unary_unary("/test.Echo/Unary")(b"x", timeout=20) == b"x"
    deadline = time.monotonic() + PATIENCE
    while (counted(asked), counted(answered)) != (before[0] + 7, before[1] + 12):
        assert time.monotonic() < deadline, (before, counted(asked), counted(answered))
        time.sleep(0.2)
    labels, _ = pair.until(proxy, asked)
    assert labels == pair.until(proxy, answered)[0]
    assert labels == {
        **BOTH,
        **cluster,
        "reporter": reporter,
        "request_protocol": "grpc",
        "response_code": "200",
        "grpc_response_status": "0",
        "response_flags": "-",
        "connection_security_policy": policy,
    }


@pytest.mark.parametrize(("proxy", "reporter", "cluster", "policy"), SIDES)
def test_tcp(pair: Pair, proxy: str, reporter: str, cluster: dict[str, str], policy: str) -> None:
    before = pair.metrics(proxy)
    with socket.create_connection((CLIENT, pair.tcp), timeout=20, source_address=(CLIENT, 0)) as client:
        client.sendall(b"hello")
        assert client.recv(5) == b"hello"
    labels, closed = pair.until(proxy, "istio_tcp_connections_closed_total", reporter=reporter)
    assert labels == {
        **BOTH,
        **cluster,
        "reporter": reporter,
        "request_protocol": "tcp",
        "response_flags": "-",
        "connection_security_policy": policy,
    }
    assert not any(name.startswith("istio_tcp") for name, _ in before) or closed >= 1
    assert pair.until(proxy, "istio_tcp_connections_opened_total")[0] == labels
    assert pair.until(proxy, "istio_tcp_sent_bytes_total")[0] == labels
    assert pair.until(proxy, "istio_tcp_received_bytes_total")[1] >= 5


REVIEWS = {name: BOTH[name] for name in BOTH if name.startswith("destination_service")}
KNOWN = {name: BOTH[name] for name in BOTH if name.startswith("destination_")}
NOBODY = dict.fromkeys(("destination_workload", "destination_principal", "destination_app"), "unknown")


@pytest.mark.parametrize(
    ("url", "headers", "code", "flags", "labels"),
    [
        pytest.param("reviews:9080/418", {}, 418, "FI", {**REVIEWS, **NOBODY}, id="fault"),
        pytest.param("reviews:9080/200?3", {"x-hurry": "1"}, 504, "UT", KNOWN, id="timeout"),
        pytest.param("reviews:9080/denied", {}, 403, "-", KNOWN, id="denied"),
        pytest.param("reviews:9080/moved", {}, 301, "-", NOBODY, id="redirect"),
        pytest.param(
            "empty:9080/",
            {},
            503,
            "UH",
            {"destination_service": "empty.default.svc.cluster.local", **NOBODY},
            id="no-instance",
        ),
        pytest.param(
            "dead:9080/",
            {},
            503,
            "UF",
            {
                "destination_service": "dead.default.svc.cluster.local",
                "destination_app": "dead",
                "destination_version": "v3",
                "destination_principal": "unknown",
            },
            id="instance-is-dead",
        ),
    ],
)
def test_what_goes_wrong_at_the_source(
    pair: Pair, url: str, headers: dict[str, str], code: int, flags: str, labels: dict[str, str]
) -> None:
    assert ask(pair, f"http://{url}", **headers) == code
    wanted = {"response_code": str(code)}
    if code == 503:
        wanted["destination_service"] = labels["destination_service"]
    found, _ = pair.until("page", "istio_requests_total", **wanted)
    assert flags in found["response_flags"].split(",")
    assert {name: found[name] for name in labels} == labels
    ours = {name: value for name, value in BOTH.items() if name.startswith("source_")}
    del ours["source_principal"]
    assert {name: found[name] for name in ours} == ours
    assert (found["reporter"], found["connection_security_policy"]) == ("source", "unknown")
    assert found["request_protocol"] == "http"


@pytest.mark.parametrize(
    ("code", "flags"),
    [pytest.param("403", "-", id="denied"), pytest.param("0", "DC", id="the-caller-left")],
)
def test_what_goes_wrong_at_the_destination(pair: Pair, code: str, flags: str) -> None:
    if code == "403":
        assert ask(pair, "http://reviews:9080/denied") == 403
    else:
        assert ask(pair, "http://reviews:9080/200?3", **{"x-hurry": "1"}) == 504
    found, _ = pair.until("reviews", "istio_requests_total", response_code=code)
    assert found["response_flags"] == flags
    assert {name: found[name] for name in BOTH} == BOTH
    assert found["connection_security_policy"] == "mutual_tls"


def test_a_connection_to_nobody(pair: Pair) -> None:
    with socket.create_connection((CLIENT, pair.broken), timeout=20) as client:
        client.sendall(b"hello")
        with suppress(ConnectionResetError):
            assert client.recv(5) == b""
    host = "deadtcp.default.svc.cluster.local"
    for metric in ("opened", "closed"):
        name = f"istio_tcp_connections_{metric}_total"
        labels, count = pair.until("page", name, destination_service=host)
        assert (count, labels["destination_principal"], labels["request_protocol"]) == (1, "unknown", "tcp")
        assert "UF" in labels["response_flags"].split(",")
        assert "response_code" not in labels


def test_a_plaintext_connection_has_no_caller(pair: Pair) -> None:
    with socket.create_connection((SERVER, pair.tcp_in), timeout=20) as client:
        client.sendall(b"hello")
        assert client.recv(5) == b"hello"
    name = "istio_tcp_connections_closed_total"
    labels, _ = pair.until("reviews", name, connection_security_policy="none")
    assert labels["source_principal"] == labels["source_workload"] == "unknown"
    assert {name: labels[name] for name in KNOWN} == {**KNOWN, "destination_principal": "unknown"}


def test_who_comes_through_a_gateway_is_the_gateway(pair: Pair) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", pair.gate, timeout=20)
    connection.request("GET", "/203", headers={**FORGED, "Host": "reviews.default.svc.cluster.local"})
    assert connection.getresponse().status == 203
    theirs, _ = pair.until("reviews", "istio_requests_total", response_code="203")
    ours, _ = pair.until("gate", "istio_requests_total", response_code="203")
    for labels in (theirs, ours):
        assert labels["source_workload"] == "gate-v1"
        assert labels["source_principal"] == SPIFFE.format("gate")
        assert not any("forged" in value for value in labels.values())
    assert {name: ours[name] for name in KNOWN} == KNOWN
    assert (ours["reporter"], theirs["reporter"]) == ("source", "destination")
    assert theirs["connection_security_policy"] == "mutual_tls"


def test_nothing_that_callers_wrote_is_in_any_label(pair: Pair) -> None:
    for proxy in ("page", "reviews", "gate"):
        told = {value for _, key in pair.metrics(proxy) for _, value in key}
        assert not {one for one in told if "forged" in one or "9.9.9.9" in one}


def test_a_client_without_a_sidecar_cannot_say_who_it_is(pair: Pair) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    folder = pair.folder / "certs" / "bare"
    context.set_alpn_protocols(["istio-http/1.1"])
    context.load_cert_chain(folder / "cert-chain.pem", folder / "key.pem")
    connection = http.client.HTTPSConnection(SERVER, pair.http, timeout=20, context=context)
    connection.request("GET", "/201", headers=FORGED)
    assert connection.getresponse().status == 201
    labels, _ = pair.until("reviews", "istio_requests_total", response_code="201")
    assert labels["source_principal"] == SPIFFE.format("bare")
    assert labels["source_workload_namespace"] == "default"
    said = ("workload", "app", "version", "cluster", "canonical_service")
    assert {labels[f"source_{name}"] for name in said} == {"unknown"}


def test_plaintext_has_no_caller(pair: Pair) -> None:
    connection = http.client.HTTPConnection(SERVER, pair.http, timeout=20)
    connection.request("GET", "/202", headers=FORGED)
    assert connection.getresponse().status == 202
    labels, _ = pair.until("reviews", "istio_requests_total", response_code="202")
    assert labels["connection_security_policy"] == "none"
    assert labels["source_principal"] == labels["source_workload"] == "unknown"
    assert labels["destination_workload"] == "reviews-v2"


def test_other_hosts(pair: Pair) -> None:
    assert ask(pair, "http://elsewhere.example:81/") >= 500
    labels, _ = pair.until("page", "istio_requests_total", destination_service="elsewhere.example:81")
    assert labels["destination_service_name"] == "PassthroughCluster"
    assert labels["destination_workload"] == "unknown"
