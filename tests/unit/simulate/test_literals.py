"""T22: what a policy says is text, never a pattern: a dot is a dot. Patterns that Envoy does not know are
refused where they are written; those that cost others dear cost nothing here."""

from __future__ import annotations

from typing import Any

import pytest

from artemon.model.decode import decode
from artemon.validate import problems
from meshctl.commands.authz import checked

HERE = {"namespace": "default", "labels": {"app": "a"}}


def allows(rule: dict[str, Any], **call: Any) -> bool:
    policy = {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {"rules": [rule]},
    }
    asked = {"port": 8080, "path": "/", "host": "a.example", **call}
    found: bool = checked([policy], HERE, asked)["allowed"]
    return found


def source(**fields: list[str]) -> dict[str, Any]:
    return {"from": [{"source": fields}]}


def operation(**fields: list[str]) -> dict[str, Any]:
    return {"to": [{"operation": fields}]}


def who(account: str = "web", namespace: str = "default", domain: str = "cluster.local") -> dict[str, str]:
    return {"principal": f"{domain}/ns/{namespace}/sa/{account}"}


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        pytest.param(source(serviceAccounts=["a.b"]), who("a.b"), who("aXb"), id="account"),
        pytest.param(
            source(serviceAccounts=["x/a.b"]), who("a.b", "x"), who("a-b", "x"), id="account-namespace"
        ),
        pytest.param(source(serviceAccounts=["web"]), who(), who("web2"), id="account-longer"),
        pytest.param(source(serviceAccounts=["web"]), who(), who("web", "default2"), id="namespace-longer"),
        pytest.param(source(namespaces=["a.b"]), who(namespace="a.b"), who(namespace="aXb"), id="namespace"),
        pytest.param(
            source(namespaces=["def*"]), who(), who(namespace="x", account="def"), id="namespace-star"
        ),
        pytest.param(source(namespaces=["*a"]), who(namespace="data"), who(), id="namespace-end"),
        pytest.param(source(namespaces=["sa"]), who(namespace="sa"), who(namespace="ns"), id="namespace-sa"),
        pytest.param(source(trustDomains=["cluster.local"]), who(), who(domain="clusterXlocal"), id="domain"),
        pytest.param(
            source(trustDomains=["cluster*"]), who(), who(domain="x", account="cluster"), id="domain-star"
        ),
        pytest.param(source(principals=["*/sa/a.b"]), who("a.b"), who("aXb"), id="principal-suffix"),
        pytest.param(
            source(principals=["cluster.local/ns/default/sa/web"]),
            who(),
            who(domain="clusterXlocal"),
            id="principal",
        ),
        pytest.param(
            operation(hosts=["a.example"]), {"host": "A.EXAMPLE:80"}, {"host": "aXexample"}, id="host"
        ),
        pytest.param(
            operation(hosts=["*.a.example"]),
            {"host": "x.a.example"},
            {"host": "xXaXexample"},
            id="host-suffix",
        ),
        pytest.param(operation(hosts=["a.b*"]), {"host": "a.bc"}, {"host": "aXbc"}, id="host-prefix"),
        pytest.param(operation(paths=["/a.b"]), {"path": "/a.b"}, {"path": "/aXb"}, id="path"),
        pytest.param(operation(paths=["/a+b"]), {"path": "/a+b"}, {"path": "/aab"}, id="path-plus"),
        pytest.param(operation(paths=["/(a|b)"]), {"path": "/(a|b)"}, {"path": "/a"}, id="path-alternatives"),
        pytest.param(operation(paths=["/a.b/{*}"]), {"path": "/a.b/c"}, {"path": "/aXb/c"}, id="template"),
        pytest.param(
            operation(paths=["/v1.0/{**}"]), {"path": "/v1.0/c/d"}, {"path": "/v1X0/c"}, id="template-many"
        ),
        pytest.param(
            {"when": [{"key": "request.headers[x-a]", "values": ["a.b"]}]},
            {"headers": {"x-a": "a.b"}},
            {"headers": {"x-a": "aXb"}},
            id="header",
        ),
        pytest.param(
            {"when": [{"key": "request.headers[x-a]", "values": ["^.*$"]}]},
            {"headers": {"x-a": "^.*$"}},
            {"headers": {"x-a": "anything"}},
            id="header-pattern",
        ),
    ],
)
def test_t22_a_dot_is_a_dot(rule: dict[str, Any], good: dict[str, Any], bad: dict[str, Any]) -> None:
    assert allows(rule, **good)
    assert not allows(rule, **bad)


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        pytest.param(operation(notPaths=["/a.b"]), {"path": "/aXb"}, {"path": "/a.b"}, id="path"),
        pytest.param(
            operation(notHosts=["a.example"]), {"host": "aXexample"}, {"host": "a.example"}, id="host"
        ),
        pytest.param(
            {"when": [{"key": "request.headers[x-a]", "notValues": ["a.b"]}]},
            {"headers": {"x-a": "aXb"}},
            {"headers": {"x-a": "a.b"}},
            id="header",
        ),
    ],
)
def test_t22_a_dot_is_a_dot_in_what_is_left_out(
    rule: dict[str, Any], good: dict[str, Any], bad: dict[str, Any]
) -> None:
    assert allows(rule, **good)
    assert not allows(rule, **bad)


PATTERNS = {
    "backreference": r"(a)\1",
    "look-ahead": "(?=a)b",
    "look-behind": "(?<!a)b",
    "possessive": "a++",
    "atomic": "(?>a+)",
    "open": "(a",
    "repeated too often": "(a{1000}){1000}",
    "too long": "a" * 1025,
}
SLOW = ("(a+)+$", "(a|a)*b", "(.*a){20}", "(x+x+)+y", "^(([a-z])+.)+[A-Z]([a-z])+$")


def service(pattern: str, place: str) -> Any:
    match: dict[str, Any] = {
        "uri": {"uri": {"regex": pattern}},
        "header": {"headers": {"x": {"regex": pattern}}},
        "query": {"queryParams": {"x": {"regex": pattern}}},
        "without": {"withoutHeaders": {"x": {"regex": pattern}}},
    }.get(place, {})
    route: dict[str, Any] = (
        {"match": [match], "route": [{"destination": {"host": "a"}}]}
        if match
        else {
            "route": [{"destination": {"host": "a"}}],
            "corsPolicy": {"allowOrigins": [{"regex": pattern}]},
        }
    )
    return decode(
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": "v", "namespace": "default"},
            "spec": {"hosts": ["a"], "http": [route]},
        }
    )


@pytest.mark.parametrize("place", ["uri", "header", "query", "without", "cors"])
def test_t22_patterns_of_users(place: str) -> None:
    for name, pattern in PATTERNS.items():
        found = [one for one in problems(service(pattern, place)) if one.level == "error"]
        assert found, (name, place)
    for pattern in SLOW:
        assert [one for one in problems(service(pattern, place)) if one.level == "error"] == [], pattern
