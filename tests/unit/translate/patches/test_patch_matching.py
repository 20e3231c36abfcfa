"""What a patch is about: proxies, and every field of the three kinds of match."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from patched_mesh import LUA, ROUTER, SIDECAR, WEB, WEB_80, Made, envoy_filter, made, patch

SCRIPT = {"name": "lua", "typed_config": {"@type": LUA}}
DIRECT = SIDECAR | {
    "ipAddresses": ["127.0.0.9"],
    "metadata": {
        **SIDECAR["metadata"],
        "INTERCEPTION_MODE": "NONE",
        "ARTEMON_PORTS": [{"number": 80, "name": "http", "protocol": "HTTP", "listenPort": 8080}],
    },
}


def touched(found: Made) -> set[str]:
    """Clusters, listeners and route configurations that are not as they were."""
    sections = ("clusters", "listeners", "routes")
    return {name for one in sections for name in getattr(found, one) if _differs(found, one, name)}


def _differs(found: Made, section: str, name: str) -> bool:
    plain = made(proxy=ROUTER if "0.0.0.0_8080" in found.listeners else SIDECAR)
    return bool(getattr(found, section)[name] != getattr(plain, section).get(name))


def merged(match: Mapping[str, Any], proxy: Mapping[str, Any] = SIDECAR) -> set[str]:
    """The clusters that a patch with this match changes."""
    change = patch("CLUSTER", "MERGE", {"connect_timeout": "99s"}, **match)
    return touched(made(envoy_filter(change), proxy=proxy))


OUT, IN = {"context": "SIDECAR_OUTBOUND"}, {"context": "SIDECAR_INBOUND"}
WEB_83 = f"outbound|83||{WEB}"
INBOUND = {"inbound|80||", "inbound|83||"}


@pytest.mark.covers(
    "EnvoyFilter.configPatches.match.context",
    "EnvoyFilter.configPatches.match.cluster.portNumber",
    "EnvoyFilter.configPatches.match.cluster.service",
    "EnvoyFilter.configPatches.match.cluster.subset",
    "EnvoyFilter.configPatches.match.cluster.name",
)
@pytest.mark.parametrize(
    ("match", "expected"),
    [
        pytest.param(
            IN | {"cluster": {"service": WEB}}, INBOUND, id="inbound-service"
        ),
        pytest.param(IN | {"cluster": {"portNumber": 83}}, {"inbound|83||"}, id="inbound-port"),
        pytest.param(OUT | {"cluster": {"service": WEB}}, {WEB_80, WEB_83}, id="service"),
        pytest.param(OUT | {"cluster": {"service": "web"}}, set(), id="short-names-are-no-services"),
        pytest.param(OUT | {"cluster": {"service": WEB, "portNumber": 83}}, {WEB_83}, id="service-port"),
        pytest.param(OUT | {"cluster": {"subset": "v1"}}, set(), id="subset"),
        pytest.param({"cluster": {"portNumber": 80}}, {WEB_80, "inbound|80||"}, id="any-context"),
        pytest.param(
            {"cluster": {"name": "BlackHoleCluster", "portNumber": 7}}, {"BlackHoleCluster"}, id="name-alone"
        ),
        pytest.param({"context": "GATEWAY"}, set(), id="another-context"),
    ],
)  # fmt: skip
def test_clusters(match: dict[str, Any], expected: set[str]) -> None:
    assert merged(match) == expected


@pytest.mark.covers(
    "EnvoyFilter.configPatches.match.proxy.proxyVersion",
    "EnvoyFilter.configPatches.match.proxy.metadata",
)
@pytest.mark.parametrize(
    ("proxy", "expected"),
    [
        pytest.param({"proxyVersion": r"^1\.30.*"}, True, id="version"),
        pytest.param({"proxyVersion": r"30"}, True, id="version-is-searched"),
        pytest.param({"proxyVersion": r"^1\.4.*"}, False, id="another-version"),
        pytest.param({"proxyVersion": "("}, False, id="no-expression-means-no-proxy"),
        pytest.param({"proxyVersion": "1" + "|1" * 600}, False, id="too-long-means-no-proxy"),
        pytest.param({"metadata": {"ZONE": "a"}}, True, id="metadata"),
        pytest.param({"metadata": {"ZONE": "b"}}, False, id="other-metadata"),
        pytest.param({"metadata": {"ZONE": "a", "NONE": "x"}}, False, id="absent-metadata"),
    ],
)
def test_proxies(proxy: dict[str, Any], expected: bool) -> None:
    assert bool(merged({"proxy": proxy, "cluster": {"name": WEB_80}})) is expected


def test_a_proxy_without_a_version_is_meant_by_none() -> None:
    match = {"proxy": {"proxyVersion": ".*"}, "cluster": {"name": WEB_80}}
    assert made(envoy_filter(patch("CLUSTER", "REMOVE", **match)), proxy={}) == made(proxy={})


def scripted(found: Made) -> set[tuple[str, str]]:
    """Listener and filter chain of every connection manager with the script."""
    return {
        (name, chain.get("name", ""))
        for name, listener in found.listeners.items()
        for chain in listener["filterChains"]
        for one in chain["filters"]
        if "lua" in [each["name"] for each in one["typedConfig"].get("httpFilters", ())]
    }


CATCHALL = ("virtualInbound", "virtualInbound-catchall-http")
PORT_80 = ("virtualInbound", "1.1.1.1_80")


@pytest.mark.covers(
    "EnvoyFilter.configPatches.match.listener.portNumber",
    "EnvoyFilter.configPatches.match.listener.name",
    "EnvoyFilter.configPatches.match.listener.filterChain.destinationPort",
    "EnvoyFilter.configPatches.match.listener.filterChain.name",
    "EnvoyFilter.configPatches.match.listener.filterChain.applicationProtocols",
    "EnvoyFilter.configPatches.match.listener.filterChain.sni",
    "EnvoyFilter.configPatches.match.listener.filterChain.transportProtocol",
    "EnvoyFilter.configPatches.match.listener.filterChain.filter.name",
)
@pytest.mark.parametrize(
    ("match", "expected"),
    [
        pytest.param(OUT, {("0.0.0.0_80", "")}, id="outbound"),
        pytest.param(IN, {CATCHALL, PORT_80}, id="inbound"),
        pytest.param({}, {CATCHALL, PORT_80, ("0.0.0.0_80", "")}, id="any"),
        pytest.param(IN | {"listener": {"portNumber": 80}}, {PORT_80}, id="inbound-port"),
        pytest.param(OUT | {"listener": {"portNumber": 83}}, set(), id="another-port"),
        pytest.param({"listener": {"name": "virtualInbound"}}, {CATCHALL, PORT_80}, id="name"),
        pytest.param({"listener": {"portName": "http"}}, set(), id="port-names-match-nothing"),
        pytest.param(
            IN | {"listener": {"filterChain": {"destinationPort": 80}}}, {PORT_80}, id="destination-port"
        ),
        pytest.param(IN | {"listener": {"filterChain": {"name": "1.1.1.1_80"}}}, {PORT_80}, id="chain-name"),
        pytest.param(
            IN | {"listener": {"filterChain": {"applicationProtocols": "h2c,http/1.1"}}},
            {CATCHALL}, id="application-protocols",
        ),
        pytest.param(IN | {"listener": {"filterChain": {"sni": "a.example.com"}}}, set(), id="server-name"),
        pytest.param(
            IN | {"listener": {"filterChain": {"transportProtocol": "quic"}}}, set(), id="transport"
        ),
        pytest.param(
            {"listener": {"filterChain": {"filter": {"name": "envoy.tcp_proxy"}}}}, set(), id="another-filter"
        ),
        pytest.param(
            OUT | {"listener": {"filterChain": {"filter": {"name": "envoy.http_connection_manager"}}}},
            {("0.0.0.0_80", "")}, id="old-name",
        ),
    ],
)  # fmt: skip
def test_listeners(match: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    assert scripted(made(envoy_filter(patch("HTTP_FILTER", "INSERT_FIRST", SCRIPT, **match)))) == expected


@pytest.mark.parametrize(
    "listener",
    [
        pytest.param({"name": "virtualInbound"}, id="virtual-name"),
        pytest.param({"portNumber": 8080}, id="port"),
        pytest.param({"filterChain": {"destinationPort": 8080}}, id="destination-port"),
    ],
)
def test_without_interception_every_inbound_listener_is_the_virtual_one(listener: dict[str, Any]) -> None:
    change = patch("HTTP_FILTER", "INSERT_FIRST", SCRIPT, context="SIDECAR_INBOUND", listener=listener)
    assert {name for name, _ in scripted(made(envoy_filter(change), proxy=DIRECT))} == {"127.0.0.9_8080"}


HTTPS = "https.8443.https.shop.default"


@pytest.mark.covers(
    "EnvoyFilter.configPatches.match.routeConfiguration.portNumber",
    "EnvoyFilter.configPatches.match.routeConfiguration.portName",
    "EnvoyFilter.configPatches.match.routeConfiguration.gateway",
    "EnvoyFilter.configPatches.match.routeConfiguration.name",
    "EnvoyFilter.configPatches.match.routeConfiguration.vhost.name",
    "EnvoyFilter.configPatches.match.routeConfiguration.vhost.domainName",
    "EnvoyFilter.configPatches.match.routeConfiguration.vhost.route.name",
    "EnvoyFilter.configPatches.match.routeConfiguration.vhost.route.action",
)
@pytest.mark.parametrize(
    ("match", "expected"),
    [
        pytest.param({}, {"http.8080", HTTPS}, id="all"),
        pytest.param({"portNumber": 8443}, {HTTPS}, id="port"),
        pytest.param({"portName": "https"}, {HTTPS}, id="port-name"),
        pytest.param({"gateway": "default/shop"}, {HTTPS}, id="gateway"),
        pytest.param({"gateway": "other/shop"}, set(), id="another-gateway"),
        pytest.param({"name": "http.8080"}, {"http.8080"}, id="name"),
        pytest.param({"vhost": {"name": "shop.example.com:8080"}}, {"http.8080"}, id="virtual-host"),
        pytest.param({"vhost": {"domainName": "shop.example.com"}}, {"http.8080", HTTPS}, id="domain"),
        pytest.param({"vhost": {"domainName": "x.example.com"}}, set(), id="another-domain"),
        pytest.param({"vhost": {"route": {"name": "none"}}}, set(), id="another-route"),
        pytest.param({"vhost": {"route": {"action": "REDIRECT"}}}, {"http.8080", HTTPS}, id="action"),
        pytest.param({"vhost": {"route": {"action": "DIRECT_RESPONSE"}}}, set(), id="another-action"),
    ],
)
def test_routes_of_a_router(match: dict[str, Any], expected: set[str]) -> None:
    change = {"stat_prefix": "mine"}
    filters = patch("HTTP_ROUTE", "MERGE", change, context="GATEWAY", routeConfiguration=match)
    assert touched(made(envoy_filter(filters), proxy=ROUTER)) == expected


def test_a_router_is_matched_by_the_port_that_clients_reach() -> None:
    ports = [{"number": 8080, "name": "http", "listenPort": 9090}]
    router = ROUTER | {"metadata": {"ARTEMON_PORTS": ports}}
    match = {"context": "GATEWAY", "routeConfiguration": {"portNumber": 8080}}
    change = patch("ROUTE_CONFIGURATION", "MERGE", {"ignore_path_parameters_in_path_matching": True}, **match)
    found = made(envoy_filter(change), proxy=router).routes["http.9090"]
    assert found["ignorePathParametersInPathMatching"] is True
