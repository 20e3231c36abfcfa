"""ServiceEntry, WorkloadEntry, WorkloadGroup: which field of which spec is refused."""

from __future__ import annotations

from typing import Any

import pytest
from istio_specs import found

HTTP = {"number": 80, "name": "http", "protocol": "HTTP"}
TCP = {"number": 9000, "name": "tcp", "protocol": "TCP"}


def entry(**change: Any) -> dict[str, Any]:
    return {"hosts": ["a.b"], "ports": [HTTP], **change}


def static(*endpoints: dict[str, Any], **change: Any) -> dict[str, Any]:
    return entry(resolution="STATIC", endpoints=list(endpoints), **change)


def dns(*endpoints: dict[str, Any], **change: Any) -> dict[str, Any]:
    return entry(**{"resolution": "DNS", "endpoints": list(endpoints), **change})


E = "spec.endpoints[0]"


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (entry(hosts=[]), "spec.hosts"),
        (entry(hosts=["*"]), "spec.hosts[0]"),
        (entry(hosts=["a_b"]), "spec.hosts[0]"),
        (entry(addresses=["a.b"]), "spec.addresses[0]"),
        (dns(addresses=["10.0.0.0/8"]), "spec.addresses[0]"),
        (entry(ports=[{**HTTP, "number": 0}]), "spec.ports[0].number"),
        (entry(ports=[{**HTTP, "name": "a.b"}]), "spec.ports[0].name"),
        (entry(ports=[{**HTTP, "protocol": "SMTP"}]), "spec.ports[0].protocol"),
        (static(ports=[{**HTTP, "targetPort": 70000}]), "spec.ports[0].targetPort"),
        (entry(ports=[HTTP, {**HTTP, "number": 81}]), "spec.ports[1].name"),
        (entry(ports=[HTTP, {**HTTP, "name": "b"}]), "spec.ports[1].number"),
        (entry(endpoints=[{"address": "1.2.3.4"}]), "spec.endpoints"),
        (
            entry(
                resolution="STATIC",
                endpoints=[{"address": "1.1.1.1"}],
                workloadSelector={"labels": {"a": "b"}},
            ),
            "spec.endpoints",
        ),
        (entry(workloadSelector={"labels": {"": "b"}}), "spec.workloadSelector.labels"),
        (static({"address": "a.b"}), f"{E}.address"),
        (static({}), f"{E}.address"),
        (static({"address": "unix:///a", "ports": {"http": 1}}), f"{E}.ports"),
        (static({"address": "unix:///a"}, ports=[HTTP, {**TCP, "protocol": "HTTP"}]), f"{E}.address"),
        (static({"address": "1.1.1.1", "ports": {"grpc": 1}}), f"{E}.ports.grpc"),
        (static({"address": "1.1.1.1", "ports": {"http": 0}}), f"{E}.ports.http"),
        (static({"address": "1.1.1.1", "labels": {"a": "*"}}), f"{E}.labels.a"),
        (static({"address": "1.1.1.1", "locality": "a/b/c/d"}), f"{E}.locality"),
        (dns(hosts=["*.a"]), "spec.hosts[0]"),
        (dns({"address": "a_b"}), f"{E}.address"),
        (dns({"network": "n"}), f"{E}.address"),
        (dns({"address": "unix:///a"}), f"{E}.address"),
        (dns({"address": "a"}, {"address": "b"}, resolution="DNS_ROUND_ROBIN"), "spec.endpoints"),
        (static(hosts=["a.b", "c.d"], ports=[TCP], addresses=["1.1.1.1"]), "spec.ports[0]"),
        (entry(resolution="DYNAMIC_DNS"), "spec.hosts[0]"),
        (entry(resolution="DYNAMIC_DNS", hosts=["*.a"], addresses=["1.1.1.1"]), "spec.addresses"),
        (entry(resolution="DYNAMIC_DNS", hosts=["*.a"], ports=[TCP]), "spec.ports[0].protocol"),
        (entry(exportTo=["~", "a"]), "spec.exportTo"),
    ],
)
def test_service_entry_is_refused(spec: dict[str, Any], path: str) -> None:
    assert set(found("se", spec)) == {path}


@pytest.mark.parametrize(
    "spec",
    [
        {"hosts": ["a.b"]},
        entry(exportTo=["~"]),
        entry(addresses=["10.0.0.0/8", "::1"], ports=[TCP]),
        static({"address": "1.1.1.1", "ports": {"http": 8080}, "locality": "a/b", "weight": 5}),
        static({"address": "unix:///a"}),
        entry(resolution="STATIC", workloadSelector={"labels": {"app": "a"}}),
        dns({"address": "a.b"}, {"address": "::1"}),
        dns(hosts=["*.a"], endpoints=[{"address": "a.b"}]),
        entry(resolution="DYNAMIC_DNS", hosts=["*.a", "*.b"], location="MESH_INTERNAL"),
        entry(hosts=["a.b", "c.d"], ports=[TCP]),
    ],
)
def test_service_entry_is_accepted(spec: dict[str, Any]) -> None:
    assert found("se", spec) == {}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (entry(hosts=["*a.b"]), "spec.hosts[0]"),
        (entry(ports=[TCP]), "spec.ports[0]"),
        (entry(ports=[{**HTTP, "targetPort": 8080}]), "spec.ports[0].targetPort"),
        (entry(workloadSelector={"labels": {"a": "b"}}), "spec.workloadSelector"),
        (static({"network": "n"}), f"{E}.address"),
    ],
)
def test_service_entry_is_warned_about(spec: dict[str, Any], path: str) -> None:
    assert set(found("se", spec, level="warning")) == {path}
    assert found("se", spec) == {}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({}, "spec.address"),
        ({"address": "a_b"}, "spec.address"),
        ({"address": "a.b:80"}, "spec.address"),
        ({"address": "unix://a"}, "spec.address"),
        ({"address": "1.1.1.1", "ports": {"a.b": 80}}, 'spec.ports["a.b"]'),
        ({"address": "1.1.1.1", "ports": {"http": 65536}}, "spec.ports.http"),
        ({"address": "1.1.1.1", "serviceAccount": "a/b"}, "spec.serviceAccount"),
    ],
)
def test_workload_entry_is_refused(spec: dict[str, Any], path: str) -> None:
    assert set(found("we", spec)) == {path}


def group(**probe: Any) -> dict[str, Any]:
    return {"template": {}, "probe": probe}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (group(), "spec.probe"),
        (group(periodSeconds=-1, exec={"command": ["a"]}), "spec.probe.periodSeconds"),
        (group(httpGet={"port": 80, "scheme": "http"}), "spec.probe.httpGet.scheme"),
        (group(httpGet={"port": 0}), "spec.probe.httpGet.port"),
        (
            group(httpGet={"port": 80, "httpHeaders": [{"name": "a b"}]}),
            "spec.probe.httpGet.httpHeaders[0].name",
        ),
        (group(tcpSocket={"port": 70000}), "spec.probe.tcpSocket.port"),
        (group(grpc={}), "spec.probe.grpc.port"),
        (group(exec={"command": []}), "spec.probe.exec.command"),
        ({"template": {"labels": {"a": "*"}}}, "spec.template.labels.a"),
        ({"template": {}, "metadata": {"labels": {"a b": "c"}}}, 'spec.metadata.labels["a b"]'),
    ],
)
def test_workload_group_is_refused(spec: dict[str, Any], path: str) -> None:
    assert set(found("wg", spec)) == {path}


def test_workloads_are_accepted() -> None:
    assert not found("we", {"address": "a.b", "ports": {"7777": 7777}, "locality": "r/z/s"})
    assert set(found("we", {"network": "n"}, level="warning")) == {"spec.address"}
    assert not found("wg", group(grpc={"port": 80}))
