"""Access logs by OTLP and spans by Zipkin, from real Envoys to servers; the trace of a caller of B3."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from real_envoy import envoy
from reporting_pair import CLIENT, PATIENCE, Pair, running_pair

pytestmark = [pytest.mark.envoy, pytest.mark.e2e]

TRACE = "80f198ee56343ba864fe8b2a57d3eff7"
B3 = {"X-B3-TraceId": TRACE, "X-B3-SpanId": "e457b5a2e4d86bd1", "X-B3-Sampled": "1"}
CONFIG = """
extensionProviders:
- name: logs
  envoyOtelAls: {{service: collector.example.com, port: {logs}}}
- name: spans
  zipkin: {{service: collector.example.com, port: {spans}}}
"""
TELEMETRY = {
    "accessLogging": [{"providers": [{"name": "logs"}]}],
    "tracing": [
        {
            "providers": [{"name": "spans"}],
            "randomSamplingPercentage": 100,
            "customTags": {
                "written": {"literal": {"value": "here"}},
                "shop": {"header": {"name": "x-shop", "defaultValue": "none"}},
                "guest": {"header": {"name": "x-guest", "defaultValue": "none"}},
                "home": {"environment": {"name": "ARTEMON_NO_SUCH", "defaultValue": "nowhere"}},
                "computed": {"formatter": {"value": "%REQ(:METHOD)%!"}},
            },
        }
    ],
}
GOT: dict[str, list[Any]] = {"logs": [], "spans": []}


class Zipkin(BaseHTTPRequestHandler):
    """Keeps spans (Zipkin's API, version 2)."""

    def do_POST(self) -> None:
        GOT["spans"] += json.loads(b"".join(self._chunks()))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _chunks(self) -> Iterator[bytes]:
        if "Content-Length" in self.headers:
            yield self.rfile.read(int(self.headers["Content-Length"]))
            return
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()

    def log_message(self, *_: object) -> None:
        pass


def export(request: ExportLogsServiceRequest, _: Any) -> ExportLogsServiceResponse:
    GOT["logs"].append(request)
    return ExportLogsServiceResponse()


def collector(ports: dict[str, int]) -> dict[str, Any]:
    """The servers, as the mesh knows them."""
    protocols = {"logs": "GRPC", "spans": "HTTP"}
    listed = [{"number": ports[one], "name": one, "protocol": protocols[one]} for one in ports]
    spec = {
        "hosts": ["collector.example.com"],
        "location": "MESH_EXTERNAL",
        "resolution": "STATIC",
        "ports": listed,
        "endpoints": [{"address": "127.0.0.1"}],
    }
    meta = {"name": "collector"}
    return {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": meta, "spec": spec}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    envoy()
    zipkin = ThreadingHTTPServer(("127.0.0.1", 0), Zipkin)
    threading.Thread(target=zipkin.serve_forever, daemon=True).start()
    server = grpc.server(ThreadPoolExecutor(2))
    method = grpc.unary_unary_rpc_method_handler(
        export, ExportLogsServiceRequest.FromString, lambda one: one.SerializeToString()
    )
    service = "opentelemetry.proto.collector.logs.v1.LogsService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": method}),))
    ports = {"logs": server.add_insecure_port("127.0.0.1:0"), "spans": zipkin.server_address[1]}
    server.start()
    telemetry = {"apiVersion": "telemetry.istio.io/v1", "kind": "Telemetry", "spec": TELEMETRY}
    folder = tmp_path_factory.mktemp("collectors")
    with running_pair(folder, [telemetry, collector(ports)], CONFIG.format(**ports)) as running:
        connection = http.client.HTTPConnection(CLIENT, running.proxy, timeout=20)
        connection.request("GET", "http://reviews:9080/201", headers={**B3, "x-shop": "mine"})
        assert connection.getresponse().status == 201
        yield running
    server.stop(None)
    zipkin.shutdown()


def until(find: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := find()):
        assert time.monotonic() < deadline, GOT
        time.sleep(0.2)
    return found


def test_spans_of_both_sides_continue_the_callers_trace(pair: Pair) -> None:
    def both() -> dict[str, Any]:
        mine = {one["localEndpoint"]["serviceName"]: one for one in GOT["spans"] if one["traceId"] == TRACE}
        return mine if len(mine) == 2 else {}

    spans = until(both)
    (page,) = (one for name, one in spans.items() if name.startswith("page"))
    (reviews,) = (one for name, one in spans.items() if name.startswith("reviews"))
    assert (page["kind"], reviews["kind"]) == ("CLIENT", "SERVER")
    assert reviews["parentId"] in (page["id"], page["parentId"])
    assert reviews["tags"]["http.status_code"] == "201"
    tags = {"written": "here", "shop": "mine", "guest": "none", "home": "nowhere", "computed": "GET!"}
    for one, service, revision in ((page, "page", "v1"), (reviews, "reviews", "v2")):
        assert {name: one["tags"][name] for name in tags} == tags
        assert one["tags"]["istio.canonical_service"] == service
        assert one["tags"]["istio.canonical_revision"] == revision
        assert one["tags"]["istio.namespace"] == "default"


def test_records_of_both_sides_name_the_trace(pair: Pair) -> None:
    def records() -> list[Any]:
        found = [
            record
            for request in GOT["logs"]
            for resource in request.resource_logs
            for scope in resource.ListFields()[-1][1]
            for record in scope.ListFields()[0][1]
        ]
        return found if len(found) >= 2 else []

    found = until(records)
    assert {one.trace_id.hex() for one in found} == {TRACE}
    assert all("201" in str(one.body) + str(one.attributes) for one in found)
