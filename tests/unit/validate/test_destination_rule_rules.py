"""DestinationRule: which field of which spec is refused."""

from __future__ import annotations

from typing import Any

import pytest
from istio_specs import found


def policy(**fields: Any) -> dict[str, Any]:
    return {"host": "reviews", "trafficPolicy": fields}


def balancer(**fields: Any) -> dict[str, Any]:
    return policy(loadBalancer=fields)


def hashing(**fields: Any) -> dict[str, Any]:
    return balancer(consistentHash=fields)


def pool(**fields: Any) -> dict[str, Any]:
    return policy(connectionPool=fields)


def tls(**fields: Any) -> dict[str, Any]:
    return policy(tls=fields)


P = "spec.trafficPolicy"
L = f"{P}.loadBalancer"
FILES = {"clientCertificate": "c", "privateKey": "k"}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"host": ""}, "spec.host"),
        ({"host": "a_b"}, "spec.host"),
        ({"host": "a", "subsets": [{"name": "v1"}, {"name": "v1"}]}, "spec.subsets[1].name"),
        ({"host": "a", "subsets": [{"name": "v.1"}]}, "spec.subsets[0].name"),
        ({"host": "a", "subsets": [{"name": "v1", "labels": {"a": "*"}}]}, "spec.subsets[0].labels.a"),
        ({"host": "a", "subsets": [{"name": "v1", "trafficPolicy": {}}]}, "spec.subsets[0].trafficPolicy"),
        (
            {"host": "a", "exportTo": ["other"], "workloadSelector": {"matchLabels": {"a": "b"}}},
            "spec.exportTo",
        ),
        (
            {"host": "a", "workloadSelector": {"matchLabels": {"a": "b*"}}},
            "spec.workloadSelector.matchLabels.a",
        ),
        (policy(), P),
        (policy(portLevelSettings=[{"tls": {}}]), f"{P}.portLevelSettings[0].port"),
        (
            policy(portLevelSettings=[{"port": {"number": 0}, "tls": {}}]),
            f"{P}.portLevelSettings[0].port.number",
        ),
        (policy(portLevelSettings=[{"port": {"number": 80}}]), f"{P}.portLevelSettings[0]"),
        (policy(tunnel={"targetHost": "a", "targetPort": 80}, proxyProtocol={}), P),
        (policy(tunnel={"targetHost": "a", "targetPort": 80, "protocol": "GET"}), f"{P}.tunnel.protocol"),
        (policy(tunnel={"targetHost": "*.a", "targetPort": 80}), f"{P}.tunnel.targetHost"),
        (policy(tunnel={"targetHost": "a", "targetPort": 0}), f"{P}.tunnel.targetPort"),
        (pool(), f"{P}.connectionPool"),
        (pool(tcp={"maxConnections": -1}), f"{P}.connectionPool.tcp.maxConnections"),
        (pool(tcp={"connectTimeout": "0s"}), f"{P}.connectionPool.tcp.connectTimeout"),
        (pool(tcp={"tcpKeepalive": {"time": "1us"}}), f"{P}.connectionPool.tcp.tcpKeepalive.time"),
        (pool(http={"http2MaxRequests": -1}), f"{P}.connectionPool.http.http2MaxRequests"),
        (pool(http={"idleTimeout": "0s"}), f"{P}.connectionPool.http.idleTimeout"),
        (pool(http={"http2KeepAlive": {"timeout": "1s"}}), f"{P}.connectionPool.http.http2KeepAlive"),
        (hashing(httpCookie={"name": ""}), f"{L}.consistentHash.httpCookie.name"),
        (
            hashing(httpCookie={"name": "a", "attributes": [{"name": "x"}, {"name": "x"}]}),
            f"{L}.consistentHash.httpCookie.attributes[1].name",
        ),
        (hashing(useSourceIp=True, minimumRingSize=1, ringHash={}), f"{L}.consistentHash.minimumRingSize"),
        (hashing(useSourceIp=True, maglev={}), f"{L}.consistentHash.maglev.tableSize"),
        (hashing(useSourceIp=True, maglev={"tableSize": 5000011}), f"{L}.consistentHash.maglev.tableSize"),
        (hashing(useSourceIp=True, maglev={"tableSize": 1}), f"{L}.consistentHash.maglev.tableSize"),
        (balancer(warmup={"duration": "0s"}), f"{L}.warmup.duration"),
        (balancer(warmup={"duration": "1s", "minimumPercent": 101}), f"{L}.warmup.minimumPercent"),
        (balancer(warmup={"duration": "1s", "aggression": 0}), f"{L}.warmup.aggression"),
        (balancer(localityLbSetting={}, zoneAwareLbSetting={}), L),
        (
            balancer(localityLbSetting={"distribute": [{"from": "a", "to": {"b": 99}}]}),
            f"{L}.localityLbSetting.distribute[0].to",
        ),
        (
            balancer(localityLbSetting={"distribute": [{"from": "a", "to": {"b": 100, "c": 0}}]}),
            f"{L}.localityLbSetting.distribute[0].to.c",
        ),
        (
            balancer(localityLbSetting={"distribute": [{"from": "a", "to": {"b": 100}}] * 2}),
            f"{L}.localityLbSetting.distribute",
        ),
        (
            balancer(localityLbSetting={"failover": [{"from": "a", "to": "a"}]}),
            f"{L}.localityLbSetting.failover[0]",
        ),
        (
            balancer(localityLbSetting={"failover": [{"from": "a/b", "to": "c"}]}),
            f"{L}.localityLbSetting.failover[0]",
        ),
        (
            balancer(zoneAwareLbSetting={"failover": [{"from": "a", "to": "*"}]}),
            f"{L}.zoneAwareLbSetting.failover[0]",
        ),
        (
            balancer(
                localityLbSetting={
                    "failover": [{"from": "a", "to": "b"}],
                    "failoverPriority": ["topology.kubernetes.io/region"],
                }
            ),
            f"{L}.localityLbSetting.failoverPriority[0]",
        ),
        (policy(outlierDetection={"maxEjectionPercent": 101}), f"{P}.outlierDetection.maxEjectionPercent"),
        (policy(outlierDetection={"interval": "0s"}), f"{P}.outlierDetection.interval"),
        (tls(mode="SIMPLE", insecureSkipVerify=True, credentialName="c"), f"{P}.tls.credentialName"),
        (tls(mode="SIMPLE", caCrl="f", credentialName="c"), f"{P}.tls.caCrl"),
        (tls(mode="SIMPLE", credentialName="configmap://other/name"), f"{P}.tls.credentialName"),
        (tls(mode="MUTUAL", clientCertificate="c"), f"{P}.tls.privateKey"),
        (
            tls(mode="MUTUAL", insecureSkipVerify=True, subjectAltNames=["a"], **FILES),
            f"{P}.tls.subjectAltNames",
        ),
        (policy(retryBudget={"percent": 101}), f"{P}.retryBudget.percent"),
    ],
)
def test_is_refused(spec: dict[str, Any], path: str) -> None:
    assert set(found("dr", spec)) == {path}


@pytest.mark.parametrize(
    "spec",
    [
        {"host": "*.a.b"},
        {"host": "10.0.0.1"},
        {"host": "a", "exportTo": ["."], "workloadSelector": {"matchLabels": {"a": "b"}}},
        policy(loadBalancer={"simple": "LEAST_CONN"}),
        policy(retryBudget={"percent": 20}),
        policy(tunnel={"targetHost": "1.2.3.4", "targetPort": 80, "protocol": "CONNECT"}),
        hashing(useSourceIp=True, maglev={"tableSize": 65537}),
        balancer(localityLbSetting={"distribute": [{"from": "a/*", "to": {"a/*": 80, "b/c": 20}}]}),
        balancer(warmup={"duration": "300s", "minimumPercent": 5.0, "aggression": 1.5}),
        tls(mode="MUTUAL", insecureSkipVerify=True, credentialName="c"),
        tls(mode="SIMPLE", credentialName="configmap://bookinfo/name"),
        tls(mode="ISTIO_MUTUAL"),
    ],
)
def test_is_accepted(spec: dict[str, Any]) -> None:
    assert found("dr", spec) == {}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"host": "a", "workloadSelector": {}}, "spec.workloadSelector.matchLabels"),
        (policy(outlierDetection={"consecutiveErrors": 1}), f"{P}.outlierDetection.consecutiveErrors"),
        (hashing(useSourceIp=True, minimumRingSize=1), f"{L}.consistentHash.minimumRingSize"),
        (balancer(localityLbSetting={"failover": [{"from": "a", "to": "b"}]}), f"{L}.localityLbSetting"),
        (tls(mode="ISTIO_MUTUAL", **FILES), f"{P}.tls"),
    ],
)
def test_is_warned_about(spec: dict[str, Any], path: str) -> None:
    assert set(found("dr", spec, level="warning")) == {path}
    assert found("dr", spec) == {}
