"""VirtualService HTTP rules as a sidecar's routes: which requests, where to, and how."""

from __future__ import annotations

import json
from typing import Any

import pytest
from envoy.config.route.v3.route_components_pb2 import Route
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from google.protobuf.json_format import MessageToDict
from translate_mesh import service_entry, view_of

from artemon.simulate.actions import act
from artemon.simulate.call import read_call
from artemon.simulate.hosts import choose_host
from artemon.simulate.request import request_of
from artemon.simulate.routes import choose_route
from artemon.translate.routes import routes

SERVICES = "\n---\n".join(
    service_entry(host, [(9080, "http")])
    for host in ("reviews.default.svc.cluster.local", "ratings.other.com")
)
REVIEWS = "outbound|9080||reviews.default.svc.cluster.local"
RATINGS = "outbound|9080||ratings.other.com"
TO_REVIEWS = {"route": [{"destination": {"host": "reviews"}}]}
TO_RATINGS = {"route": [{"destination": {"host": "ratings.other.com"}}]}


def virtual_service(http: list[dict[str, Any]], name: str = "reviews", **spec: Any) -> str:
    spec = {"hosts": ["reviews"], "http": http, **spec}
    return json.dumps({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": name, "namespace": "default"}, "spec": spec,
    })  # fmt: skip


def table(*objects: str, name: str = "9080", **view: Any) -> RouteConfiguration:
    return routes(view_of("\n---\n".join((SERVICES, *objects)), **view))[name]


def only_route(http: dict[str, Any], *objects: str, **view: Any) -> Route:
    found = table(virtual_service([http]), *objects, **view)
    return next(host for host in found.virtual_hosts if host.name.startswith("reviews.")).routes[0]


def fields(http: dict[str, Any], *objects: str) -> dict[str, Any]:
    return MessageToDict(only_route(http, *objects))


def reached(found: RouteConfiguration, **call: Any) -> Any:
    asked = request_of(read_call({"port": 9080, "host": "reviews", **call}), HttpConnectionManager())
    host, _ = choose_host(found, asked.authority)
    route, _ = choose_route(host, asked)
    return act(route, asked).cluster


@pytest.mark.parametrize(
    ("match", "call", "matches"),
    [
        pytest.param({"uri": {"exact": "/a"}}, {"path": "/a"}, True, id="exact"),
        pytest.param({"uri": {"exact": "/a"}}, {"path": "/a/b"}, False, id="exact-not-prefix"),
        pytest.param({"uri": {"exact": "/a"}}, {"path": "/a?x=1"}, True, id="exact-with-query"),
        pytest.param({"uri": {"prefix": "/a"}}, {"path": "/ab"}, True, id="prefix"),
        pytest.param({"uri": {"regex": "/[0-9]+"}}, {"path": "/12"}, True, id="regex"),
        pytest.param({"uri": {"regex": "/[0-9]+"}}, {"path": "/12/x"}, False, id="regex-whole-path"),
        pytest.param({"uri": {"prefix": "/A"}, "ignoreUriCase": True}, {"path": "/aB"}, True, id="any-case"),
        pytest.param({"uri": {"prefix": "/A"}}, {"path": "/aB"}, False, id="case-counts"),
        pytest.param({"headers": {"x": {"exact": "1"}}}, {"headers": {"x": "1"}}, True, id="header"),
        pytest.param({"headers": {"x": {"exact": "1"}}}, {}, False, id="header-missing"),
        pytest.param({"headers": {"x": {}}}, {"headers": {"x": ""}}, True, id="header-present"),
        pytest.param({"headers": {"x": {"regex": "*"}}}, {}, False, id="star-is-presence"),
        pytest.param({"withoutHeaders": {"x": {}}}, {}, True, id="without"),
        pytest.param({"withoutHeaders": {"x": {}}}, {"headers": {"x": "1"}}, False, id="without-present"),
        pytest.param({"withoutHeaders": {"x": {"exact": "1"}}}, {}, True, id="without-value-missing"),
        pytest.param(
            {"withoutHeaders": {"x": {"exact": "1"}}}, {"headers": {"x": "1"}}, False, id="without-value"
        ),
        pytest.param({"method": {"exact": "POST"}}, {"method": "POST"}, True, id="method"),
        pytest.param({"method": {"exact": "POST"}}, {}, False, id="other-method"),
        pytest.param({"authority": {"prefix": "rev"}}, {}, True, id="authority"),
        pytest.param({"scheme": {"exact": "https"}}, {}, False, id="scheme"),
        pytest.param({"queryParams": {"q": {"exact": "1"}}}, {"path": "/?q=1"}, True, id="query"),
        pytest.param({"queryParams": {"q": {"exact": "1"}}}, {"path": "/?q=2"}, False, id="other-query"),
        pytest.param({"queryParams": {"q": {}}}, {"path": "/?q=2"}, True, id="query-present"),
        pytest.param({"port": 9080}, {}, True, id="port"),
        pytest.param({"port": 80}, {}, False, id="other-port"),
        pytest.param({"sourceLabels": {"app": "web"}}, {}, True, id="source-labels"),
        pytest.param({"sourceLabels": {"app": "db"}}, {}, False, id="other-source-labels"),
        pytest.param({"sourceNamespace": "default"}, {}, True, id="source-namespace"),
        pytest.param({"sourceNamespace": "prod"}, {}, False, id="other-source-namespace"),
        pytest.param({"gateways": ["mesh"]}, {}, True, id="mesh"),
        pytest.param({"gateways": ["public"]}, {}, False, id="other-gateway"),
    ],
)
def test_match_decides_who_goes_elsewhere(match: dict[str, Any], call: dict[str, Any], matches: bool) -> None:
    gateways = ["mesh", "public"] if "gateways" in match else []
    rule = virtual_service([{"match": [match], **TO_RATINGS}, TO_REVIEWS], gateways=gateways)
    found = table(rule, proxy={"labels": {"app": "web"}})
    assert reached(found, **call) == (RATINGS if matches else REVIEWS)


def test_one_of_several_matches_is_enough_and_the_first_rule_wins() -> None:
    either = [{"uri": {"exact": "/a"}}, {"uri": {"exact": "/b"}}]
    found = table(virtual_service([{"match": either, **TO_RATINGS}, TO_REVIEWS, TO_RATINGS]))
    assert [reached(found, path=path) for path in ("/a", "/b", "/c")] == [RATINGS, RATINGS, REVIEWS]


def test_weights_are_kept_and_zero_is_left_out() -> None:
    shares = [("v1", 90), ("v2", 10), ("v3", 0)]
    http = {"route": [{"destination": {"host": "reviews", "subset": s}, "weight": w} for s, w in shares]}
    cluster = "outbound|9080|{}|reviews.default.svc.cluster.local"
    assert reached(table(virtual_service([http]))) == {cluster.format("v1"): 90, cluster.format("v2"): 10}


@pytest.mark.parametrize(
    ("http", "expected"),
    [
        pytest.param(
            {},
            {
                "retryOn": "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
                "numRetries": 2,
                "hostSelectionRetryMaxAttempts": "5",
                "retryHostPredicate": [
                    {
                        "name": "envoy.retry_host_predicates.previous_hosts",
                        "typedConfig": {
                            "@type": "type.googleapis.com/"
                            "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                        },
                    }
                ],
            },
            id="default",
        ),
        pytest.param({"retries": {"attempts": 0}}, None, id="off"),
        pytest.param(
            {"retries": {"attempts": 3, "retryOn": "5xx,503", "perTryTimeout": "2s", "backoff": "10ms"}},
            {
                "retryOn": "5xx,retriable-status-codes",
                "retriableStatusCodes": [503],
                "numRetries": 3,
                "perTryTimeout": "2s",
                "retryBackOff": {"baseInterval": "0.010s"},
            },
            id="written",
        ),
        pytest.param(
            {"retries": {"attempts": 1, "retryIgnorePreviousHosts": False}},
            {"numRetries": 1, "retryHostPredicate": None},
            id="same-host-allowed",
        ),
        pytest.param(
            {"retries": {"attempts": 1, "retryRemoteLocalities": True}},
            {
                "retryPriority": {
                    "name": "envoy.retry_priorities.previous_priorities",
                    "typedConfig": {
                        "@type": "type.googleapis.com/envoy.extensions.retry.priority."
                        "previous_priorities.v3.PreviousPrioritiesConfig",
                        "updateFrequency": 2,
                    },
                }
            },
            id="remote-localities",
        ),
    ],
)
def test_retries(http: dict[str, Any], expected: dict[str, Any] | None) -> None:
    policy = fields({**TO_REVIEWS, **http})["route"].get("retryPolicy")
    if expected is None:
        assert policy is None
    else:
        assert {key: policy.get(key) for key in expected} == expected


ACTIONS = [
    pytest.param(
        {"timeout": "1.5s"},
        {"timeout": "1.500s", "maxGrpcTimeout": "1.500s"},
        id="timeout",
    ),
    pytest.param({}, {"timeout": "0s", "maxGrpcTimeout": "0s"}, id="no-timeout"),
    pytest.param({"rewrite": {"uri": "/v2"}}, {"prefixRewrite": "/v2"}, id="rewrite-uri"),
    pytest.param({"rewrite": {"authority": "a.b"}}, {"hostRewriteLiteral": "a.b"}, id="rewrite-authority"),
    pytest.param(
        {"rewrite": {"uriRegexRewrite": {"match": "/x/(.*)", "rewrite": "/\\1"}}},
        {"regexRewrite": {"pattern": {"regex": "/x/(.*)"}, "substitution": "/\\1"}},
        id="rewrite-regex",
    ),
    pytest.param(
        {"headers": {"request": {"set": {":authority": "h"}}}},
        {"hostRewriteLiteral": "h"},
        id="set-authority",
    ),
    pytest.param(
        {"mirror": {"host": "ratings.other.com"}, "mirrorPercentage": {"value": 12.5}},
        {
            "requestMirrorPolicies": [
                {
                    "cluster": RATINGS,
                    "runtimeFraction": {"defaultValue": {"numerator": 125000, "denominator": "MILLION"}},
                    "disableShadowHostSuffixAppend": True,
                }
            ]
        },
        id="mirror",
    ),
    pytest.param(
        {"mirror": {"host": "ratings.other.com"}, "mirrorPercentage": {"value": 0}},
        {"requestMirrorPolicies": None},
        id="mirror-nothing",
    ),
]


@pytest.mark.parametrize(("http", "expected"), ACTIONS)
def test_forwarding(http: dict[str, Any], expected: dict[str, Any]) -> None:
    action = fields({**TO_REVIEWS, **http})["route"]
    assert {key: action.get(key) for key in expected} == expected


@pytest.mark.parametrize(
    ("redirect", "expected"),
    [
        pytest.param({"uri": "/x"}, {"pathRedirect": "/x"}, id="path"),
        pytest.param({"redirectCode": 307}, {"responseCode": "TEMPORARY_REDIRECT"}, id="code"),
        pytest.param({"scheme": "https", "port": 443}, {"schemeRedirect": "https"}, id="default-port-elided"),
        pytest.param({"port": 8443}, {"portRedirect": 8443}, id="port"),
        pytest.param({"derivePort": "FROM_REQUEST_PORT"}, {"portRedirect": 9080}, id="request-port"),
        pytest.param({"prefixRewrite": "/y"}, {"prefixRewrite": "/y"}, id="prefix"),
    ],
)  # fmt: skip
def test_redirect(redirect: dict[str, Any], expected: dict[str, Any]) -> None:
    match = [{"uri": {"prefix": "/"}}] if "prefixRewrite" in redirect else []
    assert fields({"redirect": redirect, "match": match})["redirect"] == expected


def test_a_redirect_that_envoy_does_not_know_is_left_out() -> None:
    found = table(virtual_service([{"redirect": {"uri": "/x", "redirectCode": 305}}, TO_RATINGS]))
    assert reached(found) == RATINGS


def test_direct_response_fault_cors_and_headers() -> None:
    http = {
        "directResponse": {"status": 418, "body": {"string": "tea"}},
        "headers": {"response": {"set": {"a": "1"}, "add": {"b": "2"}, "remove": ["c"]}},
        "corsPolicy": {
            "allowOrigins": [{"exact": "http://x"}],
            "allowMethods": ["GET", "PUT"],
            "maxAge": "24h",
        },
    }
    route = fields(http)
    assert route["directResponse"] == {"status": 418, "body": {"inlineString": "tea"}}
    assert [(o["header"], o.get("appendAction")) for o in route["responseHeadersToAdd"]] == [
        ({"key": "b", "value": "2"}, None),
        ({"key": "a", "value": "1"}, "OVERWRITE_IF_EXISTS_OR_ADD"),
    ]
    assert route["responseHeadersToRemove"] == ["c"]
    cors = route["typedPerFilterConfig"]["envoy.filters.http.cors"]
    assert (cors["allowMethods"], cors["maxAge"], cors["forwardNotMatchingPreflights"]) == (
        "GET,PUT",
        "86400",
        True,
    )


def test_fault_shares_default_to_never() -> None:
    injected = {
        "delay": {"fixedDelay": "5s", "percentage": {"value": 0.5}},
        "abort": {"grpcStatus": "UNAVAILABLE"},
    }
    config = fields({**TO_REVIEWS, "fault": injected})["typedPerFilterConfig"]["envoy.filters.http.fault"]
    assert config["delay"] == {
        "fixedDelay": "5s",
        "percentage": {"numerator": 5000, "denominator": "MILLION"},
    }
    assert config["abort"] == {"grpcStatus": 14, "percentage": {"denominator": "MILLION"}}


HASHES = [
    pytest.param({"httpHeaderName": "x-user"}, {"header": {"headerName": "x-user"}}, id="header"),
    pytest.param({"useSourceIp": True}, {"connectionProperties": {"sourceIp": True}}, id="source-ip"),
    pytest.param({"httpQueryParameterName": "u"}, {"queryParameter": {"name": "u"}}, id="query"),
    pytest.param(
        {"httpCookie": {"name": "c", "ttl": "60s", "path": "/"}},
        {"cookie": {"name": "c", "ttl": "60s", "path": "/"}},
        id="cookie",
    ),
]


@pytest.mark.parametrize(("hashing", "expected"), HASHES)
def test_sticky_destinations_hash_and_retry_on_the_same_host(
    hashing: dict[str, Any], expected: dict[str, Any]
) -> None:
    rule = json.dumps({
        "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
        "metadata": {"name": "reviews", "namespace": "default"},
        "spec": {"host": "reviews", "trafficPolicy": {"loadBalancer": {"consistentHash": hashing}}},
    })  # fmt: skip
    for action in (
        fields(TO_REVIEWS, rule)["route"],
        MessageToDict(table(rule).virtual_hosts[1].routes[0])["route"],
    ):
        assert action["hashPolicy"] == [expected]
        assert "retryHostPredicate" not in action["retryPolicy"]


def test_a_route_says_where_it_comes_from() -> None:
    rule = {"name": "main", "match": [{"name": "all", "uri": {"prefix": "/x"}}], **TO_REVIEWS}
    route = fields(rule)
    assert route["name"] == "main.all"
    assert route["decorator"] == {"operation": "reviews.default.svc.cluster.local:9080/x*"}
    path = "/apis/networking.istio.io/v1/namespaces/default/virtual-service/reviews"
    assert route["metadata"] == {"filterMetadata": {"istio": {"config": path}}}


def test_of_two_rules_for_a_host_the_older_speaks_and_wildcards_come_last() -> None:
    def aged(name: str, year: int, http: list[dict[str, Any]], hosts: list[str]) -> str:
        one = json.loads(virtual_service(http, name=name, hosts=hosts))
        one["metadata"]["creationTimestamp"] = f"{year}-01-01T00:00:00Z"
        return json.dumps(one)

    found = table(
        aged("wild", 2001, [{"directResponse": {"status": 200}}], ["*.svc.cluster.local"]),
        aged("new", 2020, [TO_REVIEWS], ["reviews"]),
        aged("old", 2010, [TO_RATINGS], ["reviews"]),
    )
    assert reached(found) == RATINGS


def test_hosts_by_the_names_that_an_application_may_use() -> None:
    for name, status in (("default", "reviews"), ("prod", "no such host")):
        found = table(proxy={"namespace": name})
        hosts = {domain: host.name for host in found.virtual_hosts for domain in host.domains}
        assert ("reviews" in hosts) == (status == "reviews")
        assert hosts["reviews.default"] == "reviews.default.svc.cluster.local:9080"


def test_unknown_hosts_follow_the_outbound_policy() -> None:
    strict = {"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}}
    open_, closed = table(), table(mesh=strict)
    assert MessageToDict(open_.virtual_hosts[-1].routes[0])["route"]["cluster"] == "PassthroughCluster"
    assert open_.virtual_hosts[-1].name == "allow_any"
    assert MessageToDict(closed.virtual_hosts[-1].routes[0])["directResponse"] == {"status": 502}
    assert closed.virtual_hosts[-1].name == "block_all"


def test_an_http_proxy_is_asked_for_host_and_port() -> None:
    extra = service_entry("shop.example.com", [(80, "http"), (8080, "http"), (5432, "tcp")])
    found = table(extra, name="http_proxy", mesh={"proxyHttpPort": 15999})
    hosts = {domain: host.name for host in found.virtual_hosts for domain in host.domains}
    assert not found.ignore_port_in_host_matching
    assert hosts["reviews:9080"] == "reviews.default.svc.cluster.local:9080"
    assert hosts["shop.example.com"] == hosts["shop.example.com:80"] == "shop.example.com:80"
    assert hosts["shop.example.com:8080"] == "shop.example.com:8080"
    assert "reviews" not in hosts
    assert "shop.example.com:5432" not in hosts


@pytest.mark.parametrize(
    ("protocol", "location", "tls", "says"),
    [
        pytest.param("", "MESH_INTERNAL", None, True, id="sniffed"),
        pytest.param("", "MESH_INTERNAL", "ISTIO_MUTUAL", True, id="sniffed-mutual"),
        pytest.param("", "MESH_INTERNAL", "SIMPLE", False, id="tls-of-its-own"),
        pytest.param("", "MESH_EXTERNAL", None, False, id="outside"),
        pytest.param("http", "MESH_INTERNAL", None, False, id="declared"),
    ],
)
def test_a_sniffing_sidecar_is_told_that_requests_come(
    protocol: str, location: str, tls: str | None, says: bool
) -> None:
    objects = [service_entry("auto.example.com", [(9080, protocol)], location=location)]
    if tls:
        spec = {"host": "auto.example.com", "trafficPolicy": {"tls": {"mode": tls}}}
        kind = {
            "apiVersion": "networking.istio.io/v1",
            "kind": "DestinationRule",
            "metadata": {"name": "auto"},
        }
        objects.append(json.dumps({**kind, "spec": spec}))
    http = [{"match": [{"uri": {"prefix": "/x"}}], "route": [{"destination": {"host": "auto.example.com"}}]}]
    ruled = virtual_service([*http, TO_REVIEWS])
    default = next(host for host in table(*objects).virtual_hosts if host.name.startswith("auto."))
    by_rule = next(host for host in table(*objects, ruled).virtual_hosts if host.name.startswith("reviews."))
    for route in (default.routes[0], by_rule.routes[0]):
        assert ("envoy.filters.http.set_filter_state" in route.typed_per_filter_config) == says
    assert not by_rule.routes[1].typed_per_filter_config
