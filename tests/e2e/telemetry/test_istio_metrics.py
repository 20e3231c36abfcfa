"""Istio's metrics out of real Envoys: every label, from both sides; what callers write changes nothing."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Iterator

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


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    envoy()
    with running_pair(tmp_path_factory.mktemp("metrics")) as running:
        for path in ("/", "/404"):
            ask(running, f"http://reviews:9080{path}")
        yield running


def ask(pair: Pair, url: str) -> int:
    connection = http.client.HTTPConnection(CLIENT, pair.proxy, timeout=20)
    connection.request("GET", url, headers=FORGED)
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
