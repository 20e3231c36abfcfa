"""VirtualService: which field of which spec is refused."""

from __future__ import annotations

from typing import Any

import pytest
from istio_specs import found

H = "spec.http[0]"
TO = [{"destination": {"host": "reviews"}}]


def http(**route: Any) -> dict[str, Any]:
    return {"hosts": ["reviews"], "http": [{"route": TO, **route}]}


def only(**route: Any) -> dict[str, Any]:
    return {"hosts": ["reviews"], "http": [route]}


def tls(host: str = "a.b", **change: Any) -> dict[str, Any]:
    return {"hosts": ["*.b"], "tls": [{"match": [{"sniHosts": [host]}], "route": TO, **change}]}


def tcp(**route: Any) -> dict[str, Any]:
    return {"hosts": ["reviews"], "tcp": [{"route": TO, **route}]}


def match(**fields: Any) -> dict[str, Any]:
    return http(match=[fields])


def request(**operations: Any) -> dict[str, Any]:
    return http(headers={"request": operations})


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"hosts": ["reviews"]}, "spec"),
        ({**http(), "hosts": ["*"]}, "spec.hosts[0]"),
        ({**http(), "hosts": ["a_b"]}, "spec.hosts[0]"),
        ({**http(), "hosts": ["a.b", "a.b"]}, "spec.hosts[1]"),
        ({**http(), "hosts": ["a.b", "*.b"]}, "spec.hosts[0]"),
        ({**http(), "gateways": ["a/b/c"]}, "spec.gateways[0]"),
        ({**http(), "gateways": ["a/"]}, "spec.gateways[0]"),
        ({**http(), "exportTo": [".", "bookinfo"]}, "spec.exportTo[1]"),
        ({**http(), "exportTo": ["*", "a"]}, "spec.exportTo"),
        ({**http(), "exportTo": ["~"]}, "spec.exportTo[0]"),
        ({"http": [{"route": TO}], "gateways": ["g"]}, "spec.gateways"),
        ({"http": [{"route": TO}], "tcp": [{"route": TO}]}, "spec.tcp"),
        ({"http": [{"delegate": {"name": "a"}, "route": TO}]}, f"{H}.delegate"),
        (only(), "spec.http[0]"),
        (only(delegate={"name": "a"}, redirect={"uri": "/"}), f"{H}.redirect"),
        (http(delegate={"name": "a"}), f"{H}.route"),
        (http(redirect={"uri": "/"}), f"{H}.route"),
        (http(directResponse={"status": 200}), f"{H}.route"),
        (only(redirect={"uri": "/"}, fault={"delay": {"fixedDelay": "1s"}}), f"{H}.fault"),
        (only(redirect={"uri": "/"}, rewrite={"uri": "/"}), f"{H}.rewrite"),
        (only(redirect={"uri": "/"}, directResponse={"status": 200}), f"{H}.directResponse"),
        (only(directResponse={"status": 200}, rewrite={"uri": "/"}), f"{H}.rewrite"),
        (http(mirror={"host": "a"}, mirrors=[{"destination": {"host": "b"}}]), "spec.http[0]"),
        (http(timeout="0.5ms"), f"{H}.timeout"),
        (http(timeout="1000001ns"), f"{H}.timeout"),
        (match(uri={"regex": "("}), f"{H}.match[0].uri.regex"),
        (match(method={"prefix": ""}), f"{H}.match[0].method.prefix"),
        (match(headers={"a b": {}}), f'{H}.match[0].headers["a b"]'),
        (match(headers={"@request.auth.claims.a": {}}), f'{H}.match[0].headers["@request.auth.claims.a"]'),
        (match(queryParams={"a": {"prefix": ""}}), f"{H}.match[0].queryParams.a.prefix"),
        (match(withoutHeaders={"a": {"regex": "("}}), f"{H}.match[0].withoutHeaders.a.regex"),
        (match(port=65536), f"{H}.match[0].port"),
        (match(sourceLabels={"a": "-"}), f"{H}.match[0].sourceLabels.a"),
        (match(sourceNamespace="a.b"), f"{H}.match[0].sourceNamespace"),
        (match(gateways=["a_b/c"]), f"{H}.match[0].gateways[0]"),
        (only(route=[{"destination": {"host": "*"}}]), f"{H}.route[0].destination.host"),
        (only(route=[{"destination": {"host": "a", "subset": "a.b"}}]), f"{H}.route[0].destination.subset"),
        (only(route=[{"destination": {"host": "a", "port": {}}}]), f"{H}.route[0].destination.port.number"),
        (only(route=[{**TO[0], "weight": 0}, TO[0]]), f"{H}.route"),
        (only(route=[{**TO[0], "weight": -1}]), f"{H}.route[0].weight"),
        (
            only(route=[{**TO[0], "headers": {"response": {"remove": ["host"]}}}]),
            f"{H}.route[0].headers.response.remove[0]",
        ),
        (request(set={"": "a"}), f'{H}.headers.request.set[""]'),
        (request(set={"a b": "c"}), f'{H}.headers.request.set["a b"]'),
        (request(add={"a\r\nb": "c"}), f'{H}.headers.request.add["a\r\nb"]'),
        (request(remove=["a:"]), f"{H}.headers.request.remove[0]"),
        (request(add={":path": "a"}), f'{H}.headers.request.add[":path"]'),
        (request(remove=[":authority"]), f"{H}.headers.request.remove[0]"),
        (request(set={"a": "%x"}), f"{H}.headers.request.set.a"),
        (request(set={"host": "a"}, add={":authority": "b"}), "spec.http[0]"),
        (http(rewrite={"authority": "a"}, headers={"request": {"set": {"Host": "b"}}}), "spec.http[0]"),
        (http(retries={"attempts": -1}), f"{H}.retries.attempts"),
        (http(retries={"perTryTimeout": "1s"}), f"{H}.retries.attempts"),
        (http(retries={"attempts": 1, "perTryTimeout": "1us"}), f"{H}.retries.perTryTimeout"),
        (http(retries={"attempts": 1, "backoff": "0s"}), f"{H}.retries.backoff"),
        (http(retries={"attempts": 1, "retryOn": "5xx, reset"}), f"{H}.retries.retryOn"),
        (http(retries={"attempts": 1, "retryOn": "799"}), f"{H}.retries.retryOn"),
        (http(fault={}), f"{H}.fault"),
        (http(fault={"abort": {"httpStatus": 199}}), f"{H}.fault.abort.httpStatus"),
        (http(fault={"abort": {"http2Error": "x"}}), f"{H}.fault.abort.http2Error"),
        (http(fault={"abort": {"grpcStatus": "5"}}), f"{H}.fault.abort.grpcStatus"),
        (http(fault={"delay": {}}), f"{H}.fault.delay.fixedDelay"),
        (http(fault={"delay": {"exponentialDelay": "1s"}}), f"{H}.fault.delay.exponentialDelay"),
        (
            http(fault={"delay": {"fixedDelay": "1s", "percentage": {"value": 0.00001}}}),
            f"{H}.fault.delay.percentage.value",
        ),
        (only(redirect={}), f"{H}.redirect"),
        (only(redirect={"uri": "/", "prefixRewrite": "/"}), f"{H}.redirect"),
        (
            only(redirect={"prefixRewrite": "/"}, match=[{"uri": {"exact": "/a"}}]),
            f"{H}.redirect.prefixRewrite",
        ),
        (only(redirect={"scheme": "ftp"}), f"{H}.redirect.scheme"),
        (only(redirect={"port": 65536}), f"{H}.redirect.port"),
        (only(redirect={"uri": "/", "redirectCode": 200}), f"{H}.redirect.redirectCode"),
        (only(directResponse={"status": 199}), f"{H}.directResponse.status"),
        (only(directResponse={"status": 200, "body": {"bytes": "?"}}), f"{H}.directResponse.body.bytes"),
        (http(rewrite={}), f"{H}.rewrite"),
        (http(rewrite={"uri": "/", "uriRegexRewrite": {"match": "a", "rewrite": "b"}}), f"{H}.rewrite"),
        (http(rewrite={"uriRegexRewrite": {"match": "a"}}), f"{H}.rewrite.uriRegexRewrite"),
        (
            http(rewrite={"uriRegexRewrite": {"match": "(", "rewrite": "b"}}),
            f"{H}.rewrite.uriRegexRewrite.match",
        ),
        (http(mirrorPercentage={"value": 101}), f"{H}.mirrorPercentage.value"),
        (http(mirrorPercent=101), f"{H}.mirrorPercent"),
        (
            http(mirrors=[{"destination": {"host": "a"}, "percentage": {"value": -1}}]),
            f"{H}.mirrors[0].percentage.value",
        ),
        (http(corsPolicy={"allowOrigins": [{}]}), f"{H}.corsPolicy.allowOrigins[0]"),
        (http(corsPolicy={"allowMethods": ["get"]}), f"{H}.corsPolicy.allowMethods[0]"),
        (http(corsPolicy={"exposeHeaders": ["a b"]}), f"{H}.corsPolicy.exposeHeaders[0]"),
        (http(corsPolicy={"maxAge": "1.5s"}), f"{H}.corsPolicy.maxAge"),
        (tls(match=[]), "spec.tls[0].match"),
        (tls("a.c"), "spec.tls[0].match[0].sniHosts[0]"),
        (tls(route=[]), "spec.tls[0].route"),
        (
            tls(match=[{"sniHosts": ["a.b"], "destinationSubnets": ["x"]}]),
            "spec.tls[0].match[0].destinationSubnets[0]",
        ),
        (tcp(route=[]), "spec.tcp[0].route"),
        (tcp(match=[{"sourceSubnet": "1.2.3.4/40"}]), "spec.tcp[0].match[0].sourceSubnet"),
        (tcp(match=[{"port": 70000}]), "spec.tcp[0].match[0].port"),
    ],
)
def test_is_refused(spec: dict[str, Any], path: str) -> None:
    assert set(found("vs", spec)) == {path}


@pytest.mark.parametrize(
    "spec",
    [
        http(),
        {**http(), "hosts": ["10.0.0.1", "reviews", "*.a.b"]},
        {**http(), "gateways": ["mesh", "ns/gw", "gw"]},
        {**http(), "gateways": ["gw"], "hosts": ["*"]},
        {**tls("outbound_.80_._.a.b"), "gateways": ["gw"], "hosts": ["outbound_.80_._.a.b"]},
        {**match(headers={"@request.auth.claims.a": {"exact": "x"}}), "gateways": ["gw"]},
        {"http": [{"route": TO}]},
        only(delegate={"name": "a", "namespace": "b"}),
        only(redirect={"derivePort": "FROM_REQUEST_PORT"}),
        only(redirect={"prefixRewrite": "/b"}, match=[{"uri": {"prefix": "/a"}}]),
        match(uri={"prefix": ""}, headers={"a": {}}, withoutHeaders={"b": {"regex": "*"}}),
        http(retries={"attempts": 0}),
        http(retries={"attempts": 2, "retryOn": "5xx,gateway-error,503", "retryRemoteLocalities": True}),
        request(set={":authority": "a"}, add={"x-a": "%HOSTNAME%"}, remove=["b"]),
        http(corsPolicy={"allowMethods": ["*"], "allowHeaders": ["*"], "maxAge": "24h"}),
        tls("*.a.b"),
        tcp(match=[{"destinationSubnets": ["10.0.0.0/8", "::1"], "sourceLabels": {"app": "a"}}]),
    ],
)
def test_is_accepted(spec: dict[str, Any]) -> None:
    assert found("vs", spec) == {}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"hosts": ["a"], "http": [{"route": TO}, {"route": TO}]}, "spec.http[1]"),
        ({"hosts": ["a"], "http": [{"route": TO}, {"match": [{"port": 1}], "route": TO}]}, "spec.http[1]"),
        ({"hosts": ["a"], "http": [{"match": [{"port": 1}], "route": TO}] * 2}, "spec.http[1].match[0]"),
        ({"hosts": ["a"], "http": [{"match": [{"port": 1}], "route": TO}] * 2}, "spec.http[1]"),
        (
            {
                "hosts": ["a"],
                "http": [{"match": [{"uri": {"prefix": p}}], "route": TO} for p in ("/a", "/ab")],
            },
            "spec.http[1].match[0]",
        ),
        ({"hosts": ["a"], "tcp": [{"route": TO}, {"route": TO}]}, "spec.tcp[1]"),
        ({**http(), "gateways": ["gw.ns.svc.cluster.local"]}, "spec.gateways[0]"),
        (http(mirrorPercent=10), f"{H}.mirrorPercent"),
        (http(fault={"abort": {}}), f"{H}.fault.abort"),
        (only(redirect={"uri": "/", "redirectCode": 304}), f"{H}.redirect.redirectCode"),
        (only(directResponse={"status": 200, "body": {"string": "x" * 103_000}}), f"{H}.directResponse.body"),
        (
            {"hosts": ["1.1.1.1"], "tls": [{"match": [{"sniHosts": ["1.1.1.1"]}], "route": TO}]},
            "spec.tls[0].match[0].sniHosts[0]",
        ),
        (only(delegate={"namespace": "b"}), f"{H}.delegate.name"),
    ],
)
def test_is_warned_about(spec: dict[str, Any], path: str) -> None:
    assert path in found("vs", spec, level="warning")
    assert found("vs", spec) == {}


def test_a_longer_prefix_first_is_no_reason_to_warn() -> None:
    order = [{"match": [{"uri": {"prefix": prefix}}], "route": TO} for prefix in ("/ab", "/a")]
    assert not found("vs", {"hosts": ["a"], "http": order}, level="warning")
    methods = [
        {"match": [{"uri": {"prefix": prefix}, "method": {"exact": method}}], "route": TO}
        for prefix, method in (("/a", "POST"), ("/ab", "GET"))
    ]
    assert not found("vs", {"hosts": ["a"], "http": methods}, level="warning")


def test_routes_made_from_gateway_api_may_have_backends_that_are_no_hosts() -> None:
    spec = {"hosts": ["a.b"], "gateways": ["ns/a.b"], "http": [{"route": [{"destination": {"host": "a_b"}}]}]}
    assert found("vs", spec)
    assert not found("vs", spec, annotations={"internal.istio.io/route-semantics": "gateway"})
