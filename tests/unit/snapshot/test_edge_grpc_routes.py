"""GRPCRoutes at a gateway: calls by service and method, their order, backends, what cannot be sent on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from edge_calls import Edge, service

from artemon.model.decode import decode
from artemon.validate import problems

PROXY = {
    "type": "router",
    "namespace": "infra",
    "labels": {"gateway.networking.k8s.io/gateway-name": "edge"},
}
SERVICES = (*(service(name, grpc=80) for name in ("web", "api", "tea")), service("far", "other", grpc=80))
GROUP = "gateway.networking.k8s.io"
OPEN = {"namespaces": {"from": "All"}}


def obj(kind: str, name: str, spec: Any, namespace: str = "shop") -> dict[str, Any]:
    version = "v1beta1" if kind == "ReferenceGrant" else "v1"
    meta = {"name": name, "namespace": namespace, "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"apiVersion": f"{GROUP}/{version}", "kind": kind, "metadata": meta, "spec": spec}


def gateway(*kinds: str) -> dict[str, Any]:
    allowed = {**OPEN, **({"kinds": [{"kind": one} for one in kinds]} if kinds else {})}
    listener = {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": allowed}
    return obj("Gateway", "edge", {"gatewayClassName": "istio", "listeners": [listener]}, "infra")


def route(*rules: Any, kind: str = "GRPCRoute", **spec: Any) -> dict[str, Any]:
    parents = [{"name": "edge", "namespace": "infra"}]
    return obj(kind, "r", {"parentRefs": parents, "rules": list(rules), **spec})


def rule(backend: str, *matches: Any, **fields: Any) -> dict[str, Any]:
    return {"matches": list(matches), "backendRefs": [{"name": backend, "port": 80}], **fields}


def call(name: str = "", method: str = "", kind: str = "Exact", **more: Any) -> dict[str, Any]:
    asked = {"type": kind, "service": name, "method": method}
    return {"method": {key: value for key, value in asked.items() if value}, **more}


def edge(*objects: Any) -> Edge:
    return Edge("\n---\n".join(map(json.dumps, objects)), *SERVICES, proxy=PROXY)


def said(found: Edge) -> dict[str, tuple[bool, str]]:
    (one,) = found.derived.routes_said
    return {kind: (each.holds, each.reason) for kind, each in one.parents[0].items()}


@pytest.mark.parametrize(
    ("match", "reached"),
    [
        (call("shop.Web", "Get"), {"shop.Web/Get": True, "shop.Web/Put": False, "shop.Other/Get": False}),
        (call("shop.Web"), {"shop.Web/Get": True, "shop.Web/Put": True, "shop.Website/Get": False}),
        (call(method="Get"), {"shop.Web/Get": True, "other.X/Get": True, "other.X/GetAll": False}),
        (call("shop\\..*", kind="RegularExpression"), {"shop.Web/Get": True, "bank.Web/Get": False}),
        (call("shop.*", "(Get|Put)", "RegularExpression"), {"shop.Web/Put": True, "shop.Web/Drop": False}),
        ({}, {"anything/At": True}),
    ],
)
def test_calls_match_by_service_and_method(match: Any, reached: dict[str, bool]) -> None:
    found = edge(gateway(), route(rule("web", match)))
    assert {path: found.reaches(f"a.example/{path}") == "web:80" for path in reached} == reached


def test_headers_must_match_too() -> None:
    header = {"name": "Version", "value": "2"}
    found = edge(gateway(), route(rule("web", call("s", headers=[header]))))
    assert found.reaches("a.example/s/M", headers={"version": "2"}) == "web:80"
    assert found.reaches("a.example/s/M") == "404"


def test_a_longer_service_then_a_longer_method_is_tried_first() -> None:
    found = edge(
        gateway(),
        route(
            rule("tea"),
            rule("api", call(method="Get")),
            rule("web", call("shop.Web")),
            rule("tea", call("shop.Web", "Drop")),
        ),
    )
    reached = {
        path: found.reaches(f"a.example/{path}") for path in ("shop.Web/Get", "shop.Web/Drop", "x/Get", "x/Y")
    }
    assert reached == {
        "shop.Web/Get": "web:80",
        "shop.Web/Drop": "tea:80",
        "x/Get": "api:80",
        "x/Y": "tea:80",
    }


def test_what_cannot_be_sent_on_is_unavailable_and_told() -> None:
    gone = edge(gateway(), route(rule("nobody")))
    assert gone.reaches("a.example/s/M") == "503"
    assert said(gone) == {"Accepted": (True, "Accepted"), "ResolvedRefs": (False, "BackendNotFound")}
    refs = [{"name": "far", "port": 80, "namespace": "other"}]
    foreign = route({"backendRefs": refs})
    assert said(edge(gateway(), foreign))["ResolvedRefs"] == (False, "RefNotPermitted")

    def lent(kind: str) -> dict[str, Any]:
        asking = {"group": GROUP, "kind": kind, "namespace": "shop"}
        spec = {"from": [asking], "to": [{"group": "", "kind": "Service"}]}
        return obj("ReferenceGrant", "g", spec, "other")

    assert edge(gateway(), foreign, lent("HTTPRoute")).reaches("a.example/s/M") == "503"
    assert edge(gateway(), foreign, lent("GRPCRoute")).reaches("a.example/s/M") == "far.other:80"


def test_filters_do_what_they_do_for_requests() -> None:
    change = {
        "type": "RequestHeaderModifier",
        "requestHeaderModifier": {"set": [{"name": "x", "value": "1"}]},
    }
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "api", "port": 80}}}
    found = edge(gateway(), route(rule("web", filters=[change, mirror])))
    (made,) = found.derived.routes
    (http,) = made.spec.http
    assert http.headers is not None
    assert http.headers.request is not None
    assert http.headers.request.set_ == {"x": "1"}
    assert [one.destination.host for one in http.mirrors if one.destination] == ["api.shop.svc.cluster.local"]
    odd = edge(gateway(), route(rule("web", filters=[{"type": "URLRewrite"}])))
    assert (odd.reaches("a.example/s/M"), said(odd)["Accepted"]) == ("503", (False, "UnsupportedValue"))


@pytest.mark.parametrize(
    ("kinds", "kind", "accepted"),
    [
        ((), "GRPCRoute", True),
        (("GRPCRoute",), "GRPCRoute", True),
        (("HTTPRoute",), "GRPCRoute", False),
        (("GRPCRoute",), "HTTPRoute", False),
        (("HTTPRoute", "GRPCRoute"), "HTTPRoute", True),
    ],
)
def test_a_listener_takes_the_kinds_that_it_names(kinds: tuple[str, ...], kind: str, accepted: bool) -> None:
    found = edge(gateway(*kinds), route({"backendRefs": [{"name": "web", "port": 80}]}, kind=kind))
    assert said(found)["Accepted"] == (accepted, "Accepted" if accepted else "NotAllowedByListeners")
    (one,) = found.derived.gateways_said
    assert one.listeners[0].kinds == (kinds or ("HTTPRoute", "GRPCRoute"))


def test_routes_of_both_kinds_share_a_host() -> None:
    http = route({"backendRefs": [{"name": "web", "port": 80}]}, kind="HTTPRoute")
    found = edge(gateway(), http, route(rule("api", call("shop.Api"))))
    assert (found.reaches("a.example/shop.Api/Get"), found.reaches("a.example/page")) == ("api:80", "web:80")


@pytest.mark.parametrize(
    ("rules", "path"),
    [
        ([{"matches": [{"method": {"service": "a/b"}}]}], "spec.rules[0].matches[0].method.service"),
        ([{"matches": [{"method": {"type": "Exact"}}]}], "spec.rules[0].matches[0].method"),
        (
            [{"matches": [call("(", kind="RegularExpression")]}],
            "spec.rules[0].matches[0].method.service",
        ),
        ([{"backendRefs": [{"name": "web"}]}], "spec.rules[0].backendRefs[0].port"),
        (
            [{"backendRefs": [{"name": "web", "port": 80, "weight": -1}]}],
            "spec.rules[0].backendRefs[0].weight",
        ),
        (
            [{"matches": [{"headers": [{"name": " ", "value": "x"}]}]}],
            "spec.rules[0].matches[0].headers[0].name",
        ),
    ],
)
def test_what_is_wrong_is_said_where_it_is(rules: Any, path: str) -> None:
    found = problems(decode(route(*rules)))
    assert path in {one.path for one in found if one.level == "error"}
