"""A Telemetry on real Envoys: labels written and taken away, metrics that are off, lines that are chosen."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator

import pytest
from real_envoy import envoy
from reporting_pair import CLIENT, PATIENCE, Pair, running_pair

pytestmark = [pytest.mark.envoy, pytest.mark.e2e]

CONFIG = """
extensionProviders:
- name: prometheus
  prometheus: {}
- name: lines
  envoyFileAccessLog: {path: access.log, logFormat: {labels: {code: "%RESPONSE_CODE%", way: "%PROTOCOL%"}}}
"""
TAGS = {
    "request_method": {"value": "request.method"},
    "node_name": {"value": "node.id"},
    "response_code": {"operation": "REMOVE"},
}
SPEC = {
    "metrics": [
        {
            "providers": [{"name": "prometheus"}],
            "overrides": [
                {"match": {"metric": "REQUEST_COUNT", "mode": "CLIENT"}, "tagOverrides": TAGS},
                {"match": {"metric": "REQUEST_DURATION"}, "disabled": True},
            ],
        }
    ],
    "accessLogging": [{"providers": [{"name": "lines"}], "filter": {"expression": "response.code >= 400"}}],
}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    envoy()
    telemetry = {"apiVersion": "telemetry.istio.io/v1", "kind": "Telemetry", "spec": SPEC}
    with running_pair(tmp_path_factory.mktemp("telemetry"), [telemetry], CONFIG) as running:
        for path in ("200", "201", "404"):
            connection = http.client.HTTPConnection(CLIENT, running.proxy, timeout=20)
            connection.request("GET", f"http://reviews:9080/{path}")
            answer = connection.getresponse()
            answer.read()
            assert answer.status == int(path)
        yield running


def test_labels(pair: Pair) -> None:
    deadline = time.monotonic() + PATIENCE
    while pair.until("page", "istio_requests_total")[1] < 3:
        assert time.monotonic() < deadline
    labels, count = pair.until("page", "istio_requests_total")
    assert (count, labels["request_method"]) == (3, "GET"), "responses are not told apart"
    assert labels["node_name"].startswith("sidecar~")
    assert "response_code" not in labels
    assert pair.until("reviews", "istio_requests_total", response_code="404")[1] == 1


def test_metrics_that_are_off(pair: Pair) -> None:
    pair.until("page", "istio_request_bytes_count", response_code="404")
    assert not any("duration" in name for name, _ in pair.metrics("page"))


def test_lines(pair: Pair) -> None:
    log, deadline = pair.folder / "access.log", time.monotonic() + PATIENCE
    while len(log.read_text().splitlines()) < 2:
        assert time.monotonic() < deadline, "one line of each proxy, of the failed request"
        time.sleep(0.2)
    assert [json.loads(line)["code"] for line in log.read_text().splitlines()] == [404, 404]
