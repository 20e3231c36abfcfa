"""Ingress and Gateway API alone: what a cluster's API server would refuse is refused without one as well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from istio_specs import found, resource

from artemon.model.decode import load_yaml
from artemon.model.tolerant import decode_tolerantly
from artemon.validate import problems, untranslated

PUBLISHED = sorted(
    Path("~/go/pkg/mod/sigs.k8s.io").expanduser().glob("gateway-api@*/examples/standard/**/*.yaml")
)
BACKEND = {"service": {"name": "web", "port": {"number": 80}}}
GATEWAY = "gateways.gateway.networking.k8s.io"
LISTENER = {"name": "http", "port": 80, "protocol": "HTTP"}


def path(**fields: Any) -> dict[str, Any]:
    one = {"path": "/", "pathType": "Prefix", "backend": BACKEND, **fields}
    return {"rules": [{"http": {"paths": [one]}}]}


def rule(**fields: Any) -> dict[str, Any]:
    return {"rules": [fields]}


def redirect(**fields: Any) -> dict[str, Any]:
    return rule(filters=[{"type": "RequestRedirect", "requestRedirect": fields}])


@pytest.mark.parametrize(
    ("kind", "spec", "where"),
    [
        ("ingress", {}, "spec"),
        ("ingress", {"defaultBackend": {}}, "spec.defaultBackend"),
        ("ingress", {"rules": [{"host": "Shop.Example"}]}, "spec.rules[0].host"),
        ("ingress", {"rules": [{"host": "a.*.example"}]}, "spec.rules[0].host"),
        ("ingress", {"rules": [{"host": "10.0.0.1"}]}, "spec.rules[0].host"),
        ("ingress", path(path="foo"), "spec.rules[0].http.paths[0].path"),
        ("ingress", path(path="/a//b"), "spec.rules[0].http.paths[0].path"),
        ("ingress", path(path=""), "spec.rules[0].http.paths[0].path"),
        (
            "ingress",
            path(backend={"service": {"name": "web"}}),
            "spec.rules[0].http.paths[0].backend.service.port",
        ),
        ("gatewayclass", {"controllerName": "x"}, "spec.controllerName"),
        (GATEWAY, {"gatewayClassName": "istio", "listeners": []}, "spec.listeners"),
        (
            GATEWAY,
            {"gatewayClassName": "istio", "listeners": [LISTENER, {**LISTENER, "port": 81}]},
            "spec.listeners[1].name",
        ),
        (
            GATEWAY,
            {"gatewayClassName": "istio", "listeners": [{**LISTENER, "port": 0}]},
            "spec.listeners[0].port",
        ),
        (
            GATEWAY,
            {"gatewayClassName": "istio", "listeners": [{**LISTENER, "tls": {}}]},
            "spec.listeners[0].tls",
        ),
        ("httproute", {"hostnames": ["10.0.0.1"]}, "spec.hostnames[0]"),
        ("httproute", rule(matches=[{"path": {"value": "a"}}]), "spec.rules[0].matches[0].path.value"),
        (
            "httproute",
            rule(matches=[{"path": {"type": "RegularExpression", "value": "("}}]),
            "spec.rules[0].matches[0].path.value",
        ),
        ("httproute", rule(matches=[{"method": "get"}]), "spec.rules[0].matches[0].method"),
        (
            "httproute",
            rule(matches=[{"headers": [{"name": "@request.auth.claims.sub", "value": "x"}]}]),
            "spec.rules[0].matches[0].headers[0].name",
        ),
        ("httproute", rule(backendRefs=[{"name": "a"}]), "spec.rules[0].backendRefs[0].port"),
        (
            "httproute",
            rule(backendRefs=[{"name": "a", "port": 1, "weight": -1}]),
            "spec.rules[0].backendRefs[0].weight",
        ),
        ("httproute", redirect(statusCode=200), "spec.rules[0].filters[0].requestRedirect.statusCode"),
        (
            "httproute",
            redirect(path={"type": "ReplaceFullPath"}),
            "spec.rules[0].filters[0].requestRedirect.path.replaceFullPath",
        ),
        ("httproute", rule(filters=[{"type": "Magic"}]), "spec.rules[0].filters[0].type"),
        ("httproute", rule(filters=[{"type": "URLRewrite"}]), "spec.rules[0].filters[0].urlRewrite"),
        (
            "httproute",
            rule(timeouts={"request": "1s", "backendRequest": "2s"}),
            "spec.rules[0].timeouts.backendRequest",
        ),
        ("referencegrant", {"from": [], "to": [{"group": "", "kind": "Service"}]}, "spec.from"),
    ],
)
def test_refused(kind: str, spec: Any, where: str) -> None:
    assert list(found(kind, spec)) == [where]


def test_a_prefix_is_replaced_only_where_there_is_one() -> None:
    change = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/x"}}
    filters = [{"type": "URLRewrite", "urlRewrite": change}]
    exact = [{"path": {"type": "Exact", "value": "/a"}}]
    assert list(found("httproute", rule(matches=exact, filters=filters))) == ["spec.rules[0].filters"]
    assert found("httproute", rule(filters=filters)) == {}


def test_what_is_not_read_is_warned_of() -> None:
    spec = {"gatewayClassName": "istio", "listeners": [LISTENER], "infrastructure": {"labels": {"a": "b"}}}
    assert [one.path for one in untranslated(resource(GATEWAY, spec))] == ["spec.infrastructure"]
    assert untranslated(resource("ingress", path())) == []


@pytest.mark.skipif(not PUBLISHED, reason="Gateway API's Go module is not there")
@pytest.mark.parametrize("file", PUBLISHED, ids=lambda one: one.stem)
def test_published_examples_are_valid(file: Path) -> None:
    for obj in load_yaml(file.read_text()):
        if obj["kind"] in ("Gateway", "GatewayClass", "HTTPRoute", "ReferenceGrant"):
            decoded = decode_tolerantly(obj)
            assert decoded.resource is not None, decoded.wrong
            assert [one for one in problems(decoded.resource) if one.level == "error"] == []
