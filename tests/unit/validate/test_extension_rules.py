"""Telemetry, EnvoyFilter, ProxyConfig, WasmPlugin, TrafficExtension: which field of which spec is refused."""

from __future__ import annotations

from typing import Any

import pytest
from istio_specs import found

from artemon.translate.envoy_values import problems_of
from artemon.validate import Context

MANAGER = "envoy.filters.network.http_connection_manager"


def tracing(**fields: Any) -> dict[str, Any]:
    return {"tracing": [fields]}


def tag(**fields: Any) -> dict[str, Any]:
    return tracing(customTags={"a": fields})


def override(**fields: Any) -> dict[str, Any]:
    return {"metrics": [{"overrides": [fields]}]}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (tracing(providers=[{"name": ""}]), "spec.tracing[0].providers[0].name"),
        (tracing(randomSamplingPercentage=100.1), "spec.tracing[0].randomSamplingPercentage"),
        (tracing(customTags={"": {"literal": {"value": "a"}}}), 'spec.tracing[0].customTags[""]'),
        (tag(literal={"value": ""}), "spec.tracing[0].customTags.a.literal.value"),
        (tag(header={"name": ""}), "spec.tracing[0].customTags.a.header.name"),
        (tag(environment={"name": ""}), "spec.tracing[0].customTags.a.environment.name"),
        (tag(formatter={"value": "%NOPE%"}), "spec.tracing[0].customTags.a.formatter.value"),
        (override(match={"customMetric": ""}), "spec.metrics[0].overrides[0].match.customMetric"),
        (override(tagOverrides={"a": {}}), "spec.metrics[0].overrides[0].tagOverrides.a.value"),
        (
            override(tagOverrides={"a": {"operation": "REMOVE", "value": "b"}}),
            "spec.metrics[0].overrides[0].tagOverrides.a.value",
        ),
        ({"accessLogging": [{"filter": {"expression": "a =="}}]}, "spec.accessLogging[0].filter.expression"),
        ({"accessLogging": [{"providers": [{"name": ""}]}]}, "spec.accessLogging[0].providers[0].name"),
    ],
)
def test_telemetry_is_refused(spec: dict[str, Any], path: str) -> None:
    assert set(found("telemetry", spec)) == {path}


def test_telemetry_is_warned_about() -> None:
    assert set(found("telemetry", {"tracing": [{}, {}]}, level="warning")) == {"spec.tracing"}
    two = tracing(providers=[{"name": "a"}, {"name": "b"}])
    assert set(found("telemetry", two, level="warning")) == {"spec.tracing[0].providers"}
    assert not found("telemetry", tag(formatter={"value": "%REQ(x)%"}))


def patch(apply_to: str = "HTTP_FILTER", value: Any = None, **entry: Any) -> dict[str, Any]:
    change = {"operation": "MERGE", "value": value} if value is not None else {"operation": "REMOVE"}
    return {"configPatches": [{"applyTo": apply_to, "patch": change, **entry}]}


def listener(apply_to: str = "HTTP_FILTER", **named: Any) -> dict[str, Any]:
    return patch(apply_to, match={"listener": {"filterChain": {"filter": named}}})


P = "spec.configPatches[0]"
NAMED = f"{P}.match.listener.filterChain.filter"
OF_V2 = "type.googleapis.com/envoy.config.filter.network.ext_authz.v2.ExtAuthz"


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (patch("INVALID"), f"{P}.applyTo"),
        ({"configPatches": [{"applyTo": "CLUSTER"}]}, f"{P}.patch"),
        ({"configPatches": [{"applyTo": "CLUSTER", "patch": {}}]}, f"{P}.patch.operation"),
        ({"configPatches": [{"applyTo": "CLUSTER", "patch": {"operation": "ADD"}}]}, f"{P}.patch.value"),
        (patch(match={"proxy": {"proxyVersion": "("}}), f"{P}.match.proxy.proxyVersion"),
        (patch(match={"cluster": {}}), f"{P}.match.cluster"),
        (patch("CLUSTER", match={"listener": {}}), f"{P}.match.listener"),
        (patch("VIRTUAL_HOST", match={"cluster": {}}), f"{P}.match.cluster"),
        (patch(match={"waypoint": {}}), f"{P}.match.waypoint"),
        (patch(match={"context": "WAYPOINT", "listener": {}}), f"{P}.match.listener"),
        (
            patch(match={"context": "WAYPOINT", "waypoint": {"portNumber": 65536}}),
            f"{P}.match.waypoint.portNumber",
        ),
        (listener(name=""), f"{NAMED}.name"),
        (listener("NETWORK_FILTER", name=MANAGER, subFilter={"name": "a"}), f"{NAMED}.subFilter"),
        (listener(name="other", subFilter={"name": "a"}), f"{NAMED}.subFilter"),
        (listener(name=MANAGER, subFilter={}), f"{NAMED}.subFilter.name"),
        (patch("CLUSTER", {"lb_policy": []}), f"{P}.patch.value"),
        (patch("CLUSTER", {"connect_timeout": "soon"}), f"{P}.patch.value"),
        (patch("LISTENER", {"address": "1.2.3.4"}), f"{P}.patch.value"),
        (
            patch("HTTP_FILTER", {"typed_config": {"@type": "type.googleapis.com/envoy.x.v3.X"}}),
            f"{P}.patch.value",
        ),
        (
            patch("NETWORK_FILTER", {"typed_config": {"@type": OF_V2}}),
            f"{P}.patch.value",
        ),
        ({"workloadSelector": {"labels": {"a": "*"}}}, "spec.workloadSelector.labels.a"),
        ({"targetRefs": [{"kind": "Pod", "name": "a"}]}, "spec.targetRefs[0].kind"),
    ],
)
def test_envoy_filter_is_refused(spec: dict[str, Any], path: str) -> None:
    assert set(found("envoyfilters", spec, context=Context(parse_envoy=problems_of))) == {path}


@pytest.mark.parametrize(
    "spec",
    [
        listener(name=MANAGER, subFilter={"name": "envoy.filters.http.router"}),
        patch("CLUSTER", {"lbPolicy": "RING_HASH", "dns_refresh_rate": "500ms", "future_field": 1}),
        patch(
            "HTTP_FILTER",
            {
                "name": "lua",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
                    "default_source_code": {"inline_string": "x"},
                },
            },
        ),
        patch("VIRTUAL_HOST", {"retry_policy": {"per_try_timeout": "1m"}, "typed_per_filter_config": {}}),
        patch("CLUSTER", match={"context": "WAYPOINT", "waypoint": {}}),
    ],
)
def test_envoy_filter_is_accepted(spec: dict[str, Any]) -> None:
    assert found("envoyfilters", spec, context=Context(parse_envoy=problems_of)) == {}


def test_envoy_filter_is_warned_about() -> None:
    for value in ({"lb_policy": "X"}, {"future_field": 1}):
        known = found(
            "envoyfilters", patch("CLUSTER", value), level="warning", context=Context(parse_envoy=problems_of)
        )
        assert set(known) == {f"{P}.patch.value"}
    assert set(found("envoyfilters", listener("LISTENER", name="a"), level="warning")) == {NAMED}
    for old in ("envoy.http_connection_manager", "envoy.tcp_proxy"):
        assert set(found("envoyfilters", listener(name=old), level="warning")) == {f"{NAMED}.name"}
    router = listener(name=MANAGER, subFilter={"name": "envoy.router"})
    assert set(found("envoyfilters", router, level="warning")) == {f"{NAMED}.subFilter.name"}


@pytest.mark.parametrize(
    ("apply_to", "value"),
    [
        ("HTTP_FILTER", {"name": "envoy.filters.http.lua"}),
        ("NETWORK_FILTER", {"name": "envoy.filters.network.echo"}),
        ("FILTER_CHAIN", {"filters": [{"name": "envoy.filters.network.echo"}]}),
    ],
)
def test_a_filter_by_name_alone_is_warned_about(apply_to: str, value: dict[str, Any]) -> None:
    spec, context = patch(apply_to, value), Context(parse_envoy=problems_of)
    (reason,) = found("envoyfilters", spec, level="warning", context=context).values()
    assert "has no typed_config" in reason
    assert not found("envoyfilters", spec, context=context)


URL = {"url": "oci://a/b"}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"url": ""}, "spec.url"),
        ({"url": "ftp://a"}, "spec.url"),
        ({**URL, "sha256": "A" * 64}, "spec.sha256"),
        ({**URL, "sha256": "a" * 63}, "spec.sha256"),
        ({**URL, "imagePullSecret": ""}, "spec.imagePullSecret"),
        ({**URL, "imagePullSecret": "a" * 254}, "spec.imagePullSecret"),
        ({**URL, "pluginName": "a" * 256}, "spec.pluginName"),
        ({**URL, "vmConfig": {"env": [{"name": ""}]}}, "spec.vmConfig.env[0].name"),
        ({**URL, "vmConfig": {"env": [{"name": "a"}, {"name": "a"}]}}, "spec.vmConfig.env[1].name"),
        (
            {**URL, "vmConfig": {"env": [{"name": "a", "valueFrom": "HOST", "value": "b"}]}},
            "spec.vmConfig.env[0].value",
        ),
        ({**URL, "match": [{"ports": [{"number": 0}]}]}, "spec.match[0].ports[0].number"),
        ({**URL, "selector": {"matchLabels": {"a*": "b"}}}, 'spec.selector.matchLabels["a*"]'),
    ],
)
def test_wasm_plugin_is_refused(spec: dict[str, Any], path: str) -> None:
    assert set(found("wasmplugins", spec)) == {path}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({}, "spec"),
        ({"lua": {"inlineCode": ""}}, "spec.lua.inlineCode"),
        ({"lua": {"inlineCode": "x" * 65537}}, "spec.lua.inlineCode"),
        ({"wasm": {"url": ""}}, "spec.wasm.url"),
        ({"wasm": URL, "match": [{"ports": [{"number": 65536}]}]}, "spec.match[0].ports[0].number"),
    ],
)
def test_traffic_extension_is_refused(spec: dict[str, Any], path: str) -> None:
    assert set(found("trafficextensions", spec)) == {path}


def test_extensions_are_accepted() -> None:
    for url in ("a.b/c", "file:///opt/a.wasm", "https://a:8443/b"):
        assert not found("wasmplugins", {"url": url})
    assert not found("trafficextensions", {"lua": {"inlineCode": "function envoy_on_request() end"}})
    assert not found("proxyconfigs", {"concurrency": 0, "environmentVariables": {"A": "b"}})
    assert set(found("proxyconfigs", {"concurrency": -1})) == {"spec.concurrency"}
