"""Telemetry of mesh, namespace and workload: what is in force for a proxy."""

from __future__ import annotations

from typing import Any

import pytest
from world_in_yaml import entry, obj, proxy, snapshot

from artemon.model.telemetry import METRICS
from artemon.snapshot.reports import Direction, Reports

ROOT = "istio-system"
LOGS = [
    {"name": "mesh-file", "envoyFileAccessLog": {"path": "/a"}},
    {"name": "other-file", "envoyFileAccessLog": {"path": "/b"}},
    {"name": "prometheus", "prometheus": {}},
    {"name": "zipkin", "zipkin": {"service": "zipkin.ns.svc.cluster.local", "port": 80}},
    {"name": "otel", "opentelemetry": {"service": "nowhere.ns.svc.cluster.local", "port": 80}},
]


def told(name: str = "t", *, namespace: str = "ns", **spec: Any) -> Any:
    return obj("Telemetry", name, spec, namespace=namespace)


def reports(*objects: Any, mesh: dict[str, Any] | None = None) -> Reports:
    fields = {"extensionProviders": LOGS, "defaultProviders": {"metrics": ["prometheus"]}} | (mesh or {})
    zipkin = entry("zipkin", "zipkin.ns.svc.cluster.local")
    return snapshot(zipkin, *objects, mesh=fields).view(proxy()).reports


def logging(*names: str, **fields: Any) -> dict[str, Any]:
    return {"accessLogging": [{"providers": [{"name": name} for name in names], **fields}]}


WORKLOAD = {"selector": {"matchLabels": {"app": "client"}}}
OTHER = {"selector": {"matchLabels": {"app": "other"}}}
MINE = entry("mine", "mine.ns.svc.cluster.local", workloadSelector={"labels": {"app": "client"}})
SERVED, UNSERVED = ({"targetRef": {"kind": "Service", "name": name}} for name in ("mine", "zipkin"))


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        pytest.param([], (), id="nothing"),
        pytest.param([told(namespace=ROOT, **logging("mesh-file"))], (("mesh-file", ""),), id="mesh"),
        pytest.param(
            [told(namespace=ROOT, **logging("mesh-file")), told(**logging("other-file"))],
            (("other-file", ""),),
            id="who-names-providers-replaces-them",
        ),
        pytest.param(
            [told(namespace=ROOT, **logging("mesh-file")), told(**logging(filter={"expression": "true"}))],
            (("mesh-file", "true"),),
            id="who-names-none-speaks-of-those",
        ),
        pytest.param(
            [told(namespace=ROOT, **logging("mesh-file")), told(**WORKLOAD, **logging(disabled=True))],
            (),
            id="workload-switches-off",
        ),
        pytest.param(
            [told(namespace=ROOT, **logging("mesh-file")), told(**OTHER, **logging(disabled=True))],
            (("mesh-file", ""),),
            id="of-another-workload",
        ),
        pytest.param(
            [told(**logging("mesh-file", match={"mode": "SERVER"}))], (), id="of-the-other-direction"
        ),
        pytest.param(
            [told(**logging("mesh-file")), told("u", **logging("other-file"))],
            (("mesh-file", ""),),
            id="the-first-of-a-level",
        ),
        pytest.param(
            [told(namespace=ROOT, **WORKLOAD, **logging("mesh-file"))], (), id="of-workloads-of-the-root"
        ),
        pytest.param(
            [
                told(namespace=ROOT, **logging("mesh-file")),
                told(**logging("other-file", "mesh-file")),
                told("u", **WORKLOAD, **logging(filter={"expression": "false"})),
            ],
            (("mesh-file", "false"), ("other-file", "false")),
            id="three-levels",
        ),
        pytest.param([told(namespace="else", **logging("mesh-file"))], (), id="another-namespace"),
        pytest.param([MINE, told(**SERVED, **logging("mesh-file"))], (("mesh-file", ""),), id="of-a-service"),
        pytest.param([MINE, told(**UNSERVED, **logging("mesh-file"))], (), id="of-another-service"),
        pytest.param(
            [MINE, told(namespace=ROOT, **SERVED, **logging("mesh-file"))], (), id="of-a-service-elsewhere"
        ),
    ],
)
def test_logs(objects: list[Any], expected: tuple[Any, ...]) -> None:
    assert reports(*objects).client.logs == expected


def test_default_providers_of_logs() -> None:
    found = reports(mesh={"defaultProviders": {"accessLogging": ["other-file"]}})
    assert (found.client.logs, found.configured_logs) == ((("other-file", ""),), True)
    assert found.client.metrics == ()


def overrides(*many: dict[str, Any]) -> dict[str, Any]:
    return {"metrics": [{"providers": [{"name": "prometheus"}], "overrides": list(many)}]}


def test_metrics() -> None:
    assert reports().client.metrics == Direction().metrics
    tags = {
        "tagOverrides": {"request_host": {"value": "request.host"}, "response_flags": {"operation": "REMOVE"}}
    }
    every = {"match": {"mode": "CLIENT"}, **tags}
    size = {"match": {"metric": "REQUEST_SIZE"}, "disabled": True}
    one = {"match": {"metric": "REQUEST_COUNT", "mode": "CLIENT"}}
    mine = {**one, "tagOverrides": {"response_flags": {"value": "'x'"}}}
    found = reports(told(namespace=ROOT, **overrides(every, size)), told(**overrides(mine)))
    client, server = dict(found.client.metrics), dict(found.server.metrics)
    assert (
        set(METRICS.values()) - set(client) == {"istio_request_bytes"} == set(METRICS.values()) - set(server)
    )
    assert dict(client["istio_requests_total"]) == {"request_host": "request.host", "response_flags": "'x'"}
    assert dict(client["istio_response_bytes"]) == {"request_host": "request.host", "response_flags": ""}
    assert server["istio_requests_total"] == ()


def test_all_metrics_off_but_one() -> None:
    off = {"match": {"metric": "ALL_METRICS"}, "disabled": True}
    on = {"match": {"metric": "REQUEST_COUNT"}, "disabled": False}
    found = reports(told(namespace=ROOT, **overrides(off)), told(**overrides(on)))
    assert [name for name, _ in found.server.metrics] == ["istio_requests_total"]


@pytest.mark.parametrize("name", ["istio_requests_total", "requests_total"])
def test_a_metric_by_the_name_that_is_shown(name: str) -> None:
    off = {"match": {"customMetric": name}, "disabled": True}
    found = reports(told(**overrides(off)))
    assert set(METRICS.values()) - {one for one, _ in found.server.metrics} == {"istio_requests_total"}
    assert reports(told(**overrides({**off, "match": {"customMetric": "mine"}}))).server == Direction()


def test_a_lower_level_writes_back_what_a_higher_one_took_away() -> None:
    took = {"match": {"metric": "REQUEST_COUNT"}, "tagOverrides": {"response_code": {"operation": "REMOVE"}}}
    wrote = {"tagOverrides": {"response_code": {"value": "string(1)"}, "mine": {"operation": "REMOVE"}}}
    found = reports(
        told(namespace=ROOT, **overrides(took)),
        told("n", **overrides()),
        told("u", **WORKLOAD, **overrides(wrote)),
    )
    tags = dict(dict(found.client.metrics)["istio_requests_total"])
    assert tags == {"response_code": "string(1)", "mine": ""}


def test_other_providers_of_metrics_count_nothing() -> None:
    assert reports(told(metrics=[{"providers": [{"name": "zipkin"}]}])).client.metrics == ()


def test_spans() -> None:
    top = told(namespace=ROOT, tracing=[{"providers": [{"name": "zipkin"}], "randomSamplingPercentage": 5}])
    mine = told(tracing=[{"customTags": {"a": {"literal": {"value": "b"}}}, "match": {"mode": "SERVER"}}])
    found = reports(top, mine, mesh={"defaultConfig": {"tracing": {"sampling": 50}}})
    client, server = found.client.spans, found.server.spans
    assert (client.provider, client.sampling, client.tags) == ("zipkin", 5, ())
    assert [name for name, _ in server.tags] == ["a"]
    assert found.host("zipkin") == "zipkin.ns.svc.cluster.local"
    assert found.host("otel") == "", "no such service"
    assert client.istio_tags
    off = told(tracing=[{"enableIstioTags": False, "disableSpanReporting": True}])
    mine = told("u", **WORKLOAD, tracing=[{"disableSpanReporting": False, "randomSamplingPercentage": 0}])
    spans = reports(top, off, mine).client.spans
    assert (spans.istio_tags, spans.off, spans.sampling) == (False, False, 0)


def test_the_same_objects_make_the_same_reports() -> None:
    shot = snapshot(told(**logging("mesh-file")), mesh={"extensionProviders": LOGS})
    assert shot.view(proxy("a")).reports is shot.view(proxy("b")).reports
