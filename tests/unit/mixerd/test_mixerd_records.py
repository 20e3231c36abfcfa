"""Reports to records, counts and pages: who called is what certificates say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from envoy.data.accesslog.v3.accesslog_pb2 import HTTPAccessLogEntry
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client import CollectorRegistry

from artemon.log import Log
from artemon.pki.spiffe import SpiffeId
from mixerd.counts import Counts
from mixerd.desk import Desk
from mixerd.keep import Keep
from mixerd.pages import Pages
from mixerd.reading import request, spans
from mixerd.records import Call, Reporter, Span

NOW = 1_000_000.0
REVIEWS = Reporter("shop", "reviews", "reviews-v2", "v2")
PAGE = Reporter("shop", "page", "page-v1", "v1")


def entry(cluster: str, **fields: Any) -> HTTPAccessLogEntry:
    out = HTTPAccessLogEntry()
    common = out.common_properties
    common.upstream_cluster = cluster
    common.start_time.FromMilliseconds(int(NOW * 1000))
    common.time_to_last_downstream_tx_byte.FromMilliseconds(fields.get("duration", 20))
    out.response.response_code.value = fields.get("code", 200)
    out.request.authority = "forged.example"
    if "uri" in fields:
        peer = common.tls_properties.peer_certificate_properties
        peer.subject_alt_name.add(uri=fields["uri"])
        peer.subject = fields.get("subject", "")
    return out


def test_the_caller_is_what_its_certificate_says() -> None:
    subject = "UID=page-v1/page/v1/page/v1/east"
    call = request(entry("inbound|9080||", uri="spiffe://td/ns/shop/sa/page", subject=subject), REVIEWS)
    assert (call.source_namespace, call.source, call.source_workload) == ("shop", "page", "page-v1")
    assert (call.namespace, call.service, call.workload, call.version) == (
        "shop",
        "reviews",
        "reviews-v2",
        "v2",
    )
    assert call.encrypted


def test_without_a_certificate_nobody_is_known() -> None:
    call = request(entry("inbound|9080||"), REVIEWS)
    assert (call.source, call.encrypted) == ("unknown", False)


def test_what_is_refused_on_arrival_is_no_call_of_ones_own() -> None:
    refused = entry("", code=429)
    refused.common_properties.custom_tags["artemon.side"] = "inbound"
    call = request(refused, REVIEWS)
    assert (call.reporter, call.service, call.code) == ("destination", "reviews", 429)


def test_who_is_called() -> None:
    call = request(entry("outbound|9080|v1|reviews.shop.svc.cluster.local"), PAGE)
    assert (call.source, call.namespace, call.service, call.version) == ("page", "shop", "reviews", "v1")
    outside = request(entry("outbound|443||api.example.com"), PAGE)
    assert (outside.namespace, outside.service) == ("", "api.example.com")
    assert request(entry("PassthroughCluster"), PAGE).service == "forged.example"


@pytest.mark.parametrize(("subject", "service"), [("a/b/c/d/e/f", "d"), ("a/b", "account"), ("", "account")])
def test_the_reporter(subject: str, service: str) -> None:
    assert Reporter.of(SpiffeId("td", "ns", "account"), subject).service == service


def test_spans() -> None:
    body = ExportTraceServiceRequest()
    field = body.resource_spans.add().DESCRIPTOR.fields_by_number[2].name
    span = getattr(body.resource_spans[0], field).add().spans.add(trace_id=b"\1" * 16, span_id=b"\2" * 8)
    span.start_time_unix_nano, span.end_time_unix_nano, span.kind = 1_000_000, 3_000_000, 3
    span.attributes.add(key="http.status_code").value.string_value = "503"
    (found,) = spans(body, PAGE)
    assert (found.trace, found.service, found.kind, found.duration, found.failed) == (
        "01" * 16,
        "page",
        "client",
        2.0,
        True,
    )


def desk(path: Path, *, pending: int = 100, rows: int = 1000) -> Desk:
    keep = Keep(path / "x.db", rows=rows, seconds=600)
    log = Log("mixerd")
    return Desk(keep, Counts(seconds=600), CollectorRegistry(), log, pending=pending, now=lambda: NOW)


async def page(desk: Desk, path: str) -> Any:
    status, body = await Pages(desk).answer(path)
    assert status == 200, body
    return json.loads(body)


def calls() -> list[Call]:
    out = "outbound|9080||reviews.shop.svc.cluster.local"
    uri = "spiffe://td/ns/shop/sa/page"
    sent = [request(entry(out, code=code, duration=10), PAGE) for code in (200, 200, 503, 404)]
    arrived = [request(entry("inbound|9080||", uri=uri, duration=8), REVIEWS) for _ in range(3)]
    return [*sent, *arrived]


async def test_the_graph(tmp_path: Path) -> None:
    about = desk(tmp_path)
    about.calls(calls())
    found = await page(about, "/graph?seconds=60")
    (edge,) = found["edges"]
    assert (edge["source"], edge["target"], edge["calls"], edge["failed"]) == (
        "shop/page",
        "shop/reviews",
        4,
        1,
    )
    assert edge["mtls"] == 1.0
    assert 8 <= edge["p50"] <= 12.5
    nodes = {one["name"]: one for one in found["nodes"]}
    assert nodes["shop/reviews"]["versions"] == {"v2": 3}
    assert (await page(about, "/graph?namespaces=other"))["edges"] == []
    assert (await page(about, "/graph?namespaces="))["nodes"] == []


async def test_lines(tmp_path: Path) -> None:
    about = desk(tmp_path)
    about.calls(calls())
    assert len((await page(about, "/logs?service=reviews"))["items"]) == 7
    assert len((await page(about, "/logs?service=shop/reviews"))["items"]) == 7
    assert len((await page(about, "/logs?service=shop/page"))["items"]) == 7
    assert (await page(about, "/logs?service=other/reviews"))["items"] == []
    assert [one["code"] for one in (await page(about, "/logs?code=503"))["items"]] == [503]
    assert (await page(about, "/logs?namespaces=other"))["items"] == []
    for path in ("/logs?limit=0", "/graph?seconds=x", "/graph?seconds=0"):
        assert (await Pages(about).answer(path))[0] == 400
    assert (await Pages(about).answer("/nothing"))[0] == 404


def span(trace: str, start: int, namespace: str = "shop") -> Span:
    return Span(trace, f"{start:016x}", "", namespace, "page", "GET /", "client", start, 2.0, False, "{}")


async def test_traces(tmp_path: Path) -> None:
    about = desk(tmp_path)
    begun = int(NOW * 1e9)
    about.spans([span("a", begun), span("a", begun + 5_000_000), span("b", begun + 1, "other")])
    found = (await page(about, "/traces?namespaces=shop"))["items"]
    assert [(one["trace"], one["spans"], one["duration"]) for one in found] == [("a", 2, 7.0)]
    found = (await page(about, "/traces?service=other/page"))["items"]
    assert [one["trace"] for one in found] == ["b"]
    assert len((await page(about, "/trace?id=a"))["items"]) == 2
    assert (await page(about, "/trace?id=b&namespaces=shop"))["items"] == []


async def test_what_is_too_much_is_dropped_but_counted(tmp_path: Path) -> None:
    about = desk(tmp_path, pending=5)
    about.calls(calls())
    assert (await page(about, "/graph"))["edges"][0]["calls"] == 4
    assert len((await page(about, "/logs"))["items"]) == 5


async def test_rows_are_bounded_by_number_and_age(tmp_path: Path) -> None:
    about = desk(tmp_path, rows=3)
    about.calls(calls())
    about.spans([span("old", 1), span("new", int(NOW * 1e9))])
    await about.flush()
    about.keep.trim(NOW)
    assert len((await page(about, "/logs"))["items"]) == 3
    assert [one["trace"] for one in (await page(about, "/traces"))["items"]] == ["new"]


def test_old_counts_go(tmp_path: Path) -> None:
    counts = Counts(seconds=60, edges=2)
    for call in calls():
        counts.add(call, NOW)
    for call in calls():
        counts.add(call._replace(service="a"), NOW + 3600)
    assert counts.window(60, NOW) == {}
    assert {edge.service for edge in counts.window(60, NOW + 3600)} == {"a"}
    counts.add(calls()[0]._replace(service="more"), NOW + 3600)
    assert counts.overflow == 1
