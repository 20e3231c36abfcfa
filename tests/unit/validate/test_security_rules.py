"""AuthorizationPolicy, RequestAuthentication, PeerAuthentication: which field of which spec is refused."""

from __future__ import annotations

from typing import Any

import pytest
from istio_specs import found

from artemon.validate import Context

GATEWAY = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gw"}
LABELS = {"matchLabels": {"app": "a"}}


def rules(*rules: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"rules": list(rules), **spec}


def source(**lists: Any) -> dict[str, Any]:
    return rules({"from": [{"source": lists}]})


def operation(**lists: Any) -> dict[str, Any]:
    return rules({"to": [{"operation": lists}]})


def when(key: str, **values: Any) -> dict[str, Any]:
    return rules({"when": [{"key": key, **(values or {"values": ["a"]})}]})


def custom(rule: dict[str, Any], **provider: Any) -> dict[str, Any]:
    return rules(rule, action="CUSTOM", provider=provider or {"name": "p"})


F, T, W = "spec.rules[0].from[0].source", "spec.rules[0].to[0].operation", "spec.rules[0].when[0]"


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"selector": LABELS, "targetRefs": [GATEWAY]}, "spec"),
        ({"targetRef": GATEWAY, "targetRefs": [GATEWAY]}, "spec"),
        ({"targetRefs": [GATEWAY] * 17}, "spec.targetRefs"),
        ({"targetRefs": [{**GATEWAY, "kind": "HTTPRoute"}]}, "spec.targetRefs[0].kind"),
        ({"targetRefs": [{**GATEWAY, "kind": "GatewayClass"}]}, "spec.targetRefs[0].kind"),
        ({"targetRef": {**GATEWAY, "namespace": "x"}}, "spec.targetRef.namespace"),
        ({"selector": {"matchLabels": {"": "a"}}}, "spec.selector.matchLabels"),
        ({"action": "DENY"}, "spec.rules"),
        ({"action": "DENY", "rules": []}, "spec.rules"),
        ({"action": "CUSTOM", "provider": {"name": "p"}}, "spec.rules"),
        (custom({}, name=""), "spec.provider.name"),
        ({"provider": {"name": "p"}}, "spec.provider"),
        (custom({"from": [{"source": {"notNamespaces": ["a"]}}]}), f"{F}.notNamespaces"),
        (custom({"from": [{"source": {"trustDomains": ["a"]}}]}), f"{F}.trustDomains"),
        (custom({"when": [{"key": "request.auth.claims[a]", "values": ["b"]}]}), f"{W}.key"),
        (rules({"from": []}), "spec.rules[0].from"),
        (rules({"to": []}), "spec.rules[0].to"),
        (rules({"from": [{}]}), F),
        (rules({"to": [{}]}), T),
        (source(), F),
        (source(principals=[""]), f"{F}.principals[0]"),
        (source(ipBlocks=["1.2.3.4/40"]), f"{F}.ipBlocks[0]"),
        (source(notRemoteIpBlocks=["a"]), f"{F}.notRemoteIpBlocks[0]"),
        (source(serviceAccounts=["a"], notPrincipals=["b"]), f"{F}.notPrincipals"),
        (source(serviceAccounts=["a/b/c"]), f"{F}.serviceAccounts[0]"),
        (source(serviceAccounts=["a*"]), f"{F}.serviceAccounts[0]"),
        (source(serviceAccounts=["a/"]), f"{F}.serviceAccounts[0]"),
        (source(serviceAccounts=["a" * 321]), f"{F}.serviceAccounts[0]"),
        (source(serviceAccounts=["a"] * 17), f"{F}.serviceAccounts"),
        (operation(), T),
        (operation(ports=["http"]), f"{T}.ports[0]"),
        (operation(ports=["0"]), f"{T}.ports[0]"),
        (operation(notHosts=["a", ""]), f"{T}.notHosts[1]"),
        (operation(paths=["/{x}"]), f"{T}.paths[0]"),
        (operation(paths=["/{*}/*"]), f"{T}.paths[0]"),
        (operation(paths=["/{**}/{*}"]), f"{T}.paths[0]"),
        (operation(notPaths=["/a{*}"]), f"{T}.notPaths[0]"),
        (when(""), f"{W}.key"),
        (when("request.header[a]"), f"{W}.key"),
        (when("request.headers"), f"{W}.key"),
        (when("request.headers[]"), f"{W}.key"),
        (when("request.headersx[a]"), f"{W}.key"),
        (when("request.headers[a][b]"), f"{W}.key"),
        (when("request.headers[ a ]"), f"{W}.key"),
        (when("request.headers[a\r\nb]"), f"{W}.key"),
        (when("request.auth.claims[a]b[c]"), f"{W}.key"),
        (when("request.auth.claims[a][]"), f"{W}.key"),
        (when("request.auth.claims[[a]]"), f"{W}.key"),
        (when("request.auth.claims.a"), f"{W}.key"),
        (when("source.ip", values=["fe80::1%eth0"]), f"{W}.values[0]"),
        (source(ipBlocks=["fe80::1%eth0"]), f"{F}.ipBlocks[0]"),
        (source(ipBlocks=["10.0.0.0/255.0.0.0"]), f"{F}.ipBlocks[0]"),
        (source(ipBlocks=["010.0.0.1"]), f"{F}.ipBlocks[0]"),
        (operation(ports=["+80"]), f"{T}.ports[0]"),
        (operation(ports=["\uff18\uff10"]), f"{T}.ports[0]"),
        (operation(ports=["80-90"]), f"{T}.ports[0]"),
        (when("destination.labels[a]"), f"{W}.key"),
        (when("source.ip"), f"{W}.values[0]"),
        (when("destination.port", notValues=["70000"]), f"{W}.notValues[0]"),
        (when("connection.sni", values=[""]), f"{W}.values[0]"),
        (when("source.namespace", values=[]), W),
    ],
)
def test_authorization_policy_is_refused(spec: dict[str, Any], path: str) -> None:
    assert set(found("ap", spec)) == {path}


@pytest.mark.parametrize(
    "spec",
    [
        {},
        rules({}),
        rules({}, action="DENY"),
        custom({"to": [{"operation": {"paths": ["/a"]}}]}),
        {
            "targetRefs": [
                GATEWAY,
                {"kind": "Service", "name": "a"},
                {"group": "networking.istio.io", "kind": "ServiceEntry", "name": "a"},
            ]
        },
        source(serviceAccounts=["ns/sa", "sa"], ipBlocks=["10.0.0.0/8", "::1"]),
        operation(paths=["/a/*", "*/b", "/a/{*}/b/{**}", "/{**}/c"], ports=["80"]),
        when("request.auth.claims[a][b]"),
        when("experimental.envoy.filters.x[a]"),
        when("source.trustDomain"),
        when("request.headers[:path]"),
        when("request.headers[X.Y!]"),
        when("request.auth.claims[https://a.example/roles][b c]"),
        source(ipBlocks=["::ffff:10.0.0.0/104", "10.1.2.3/8"]),
    ],
)
def test_authorization_policy_is_accepted(spec: dict[str, Any]) -> None:
    assert found("ap", spec) == {}


@pytest.mark.parametrize(
    ("rule", "warned"),
    [
        ({"to": [{"operation": {"methods": ["GET"]}}]}, True),
        ({"to": [{"operation": {"methods": ["GET"], "ports": ["80"]}}]}, False),
        ({"from": [{"source": {"requestPrincipals": ["*"]}}]}, True),
        ({"from": [{"source": {"principals": ["*"]}}]}, False),
        ({}, False),
    ],
)
def test_a_deny_rule_about_http_only_is_warned_about(rule: dict[str, Any], warned: bool) -> None:
    assert bool(found("ap", rules(rule, action="DENY"), level="warning")) is warned
    assert not found("ap", rules(rule, action="ALLOW"), level="warning")


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (source(principals=["spiffe://cluster.local/ns/a/sa/b"]), f"{F}.principals[0]"),
        (source(notPrincipals=["a", "cluster.local/ns/*/sa/b"]), f"{F}.notPrincipals[1]"),
        (source(principals=["*/sa/b*"]), f"{F}.principals[0]"),
        (source(requestPrincipals=["https://*.example/a"]), f"{F}.requestPrincipals[0]"),
        (operation(hosts=["a*.example"], ports=["80"]), f"{T}.hosts[0]"),
        (operation(methods=["*E*"], ports=["80"]), f"{T}.methods[0]"),
        (operation(paths=["admin"], ports=["80"]), f"{T}.paths[0]"),
        (operation(paths=["/a?b=c"], ports=["80"]), f"{T}.paths[0]"),
        (operation(notPaths=["/a*b"], ports=["80"]), f"{T}.notPaths[0]"),
        (when("source.principal", values=["spiffe://*"]), f"{W}.values[0]"),
        (when("request.auth.principal", notValues=["a*b/c"]), f"{W}.notValues[0]"),
    ],
)
def test_values_that_match_nothing_are_warned_about(spec: dict[str, Any], path: str) -> None:
    assert set(found("ap", spec, level="warning")) == {path}
    assert found("ap", spec) == {}


@pytest.mark.parametrize(
    "spec",
    [
        source(principals=["*", "a/*", "*/b"], requestPrincipals=["*", "*/alice", "https://i.example/*"]),
        operation(hosts=["*", "*.a", "a.*"], methods=["*", "G*"], paths=["*", "*/a", "/{*}/a", "{*}"]),
        when("request.headers[accept]", values=["*/*"]),
    ],
)
def test_values_that_match_something_are_not(spec: dict[str, Any]) -> None:
    assert found("ap", spec, level="warning") == {}


def test_a_gateway_class_is_a_target_in_the_root_namespace() -> None:
    spec = {"targetRefs": [{**GATEWAY, "kind": "GatewayClass"}]}
    assert not found("ap", spec, context=Context(root_namespace="bookinfo"))


def jwt(**rule: Any) -> dict[str, Any]:
    return {"jwtRules": [{"issuer": "a", **rule}]}


J = "spec.jwtRules[0]"
RSA = '{"keys": [{"kty": "RSA", "n": "x", "e": "AQAB"}]}'


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"jwtRules": [{}]}, J),
        (jwt(audiences=[""]), f"{J}.audiences[0]"),
        (jwt(jwksUri="ftp://a"), f"{J}.jwksUri"),
        (jwt(jwksUri="https://a:b"), f"{J}.jwksUri"),
        (jwt(jwks="x"), f"{J}.jwks"),
        (jwt(jwks="[]"), f"{J}.jwks"),
        (jwt(jwks='{"keys": [{"kty": "RSA", "n": "x"}]}'), f"{J}.jwks: keys[0]"),
        (jwt(jwks='{"keys": [{"kty": "X"}]}'), f"{J}.jwks: keys[0]"),
        (jwt(fromHeaders=[{"name": ""}]), f"{J}.fromHeaders[0].name"),
        (jwt(fromHeaders=[{"name": "a b"}]), f"{J}.fromHeaders[0].name"),
        (jwt(fromParams=[""]), f"{J}.fromParams[0]"),
        (jwt(fromCookies=[""]), f"{J}.fromCookies[0]"),
        (jwt(outputPayloadToHeader="a:b"), f"{J}.outputPayloadToHeader"),
        (jwt(outputClaimToHeaders=[{"header": "a", "claim": ""}]), f"{J}.outputClaimToHeaders[0].claim"),
        (jwt(timeout="0s"), f"{J}.timeout"),
    ],
)
def test_request_authentication_is_refused(spec: dict[str, Any], path: str) -> None:
    assert set(found("ra", spec)) == {path}


def test_request_authentication_is_accepted() -> None:
    assert not found("ra", jwt(jwks=RSA, timeout="5s", outputClaimToHeaders=[{"header": "x", "claim": "y"}]))
    assert not found("ra", {"jwtRules": [{"jwksUri": "https://a/b"}]})
    secret = '{"keys": [{"kty": "oct", "k": "x"}]}'
    assert set(found("ra", jwt(jwks=secret), level="warning")) == {f"{J}.jwks: keys[0]"}
    assert not found("ra", jwt(jwks=RSA), level="warning")


@pytest.mark.parametrize(
    ("host", "read"),
    [
        pytest.param("１２７.0.0.1", "127.0.0.1", id="full-width"),
        pytest.param("127。0。0。1", "127.0.0.1", id="dots"),
        pytest.param("①②⑦.0.0.1", "127.0.0.1", id="circled"),
        pytest.param("bücher.example", "", id="another-alphabet"),
        pytest.param("a.example", "", id="plain"),
    ],
)
def test_a_host_that_is_read_as_another_is_warned_of(host: str, read: str) -> None:
    warned = found("ra", {"jwtRules": [{"jwksUri": f"https://{host}/keys"}]}, level="warning")
    assert list(warned) == ([f"{J}.jwksUri"] if read else [])
    assert read in str(warned)


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"portLevelMtls": {"80": {}}}, "spec.portLevelMtls"),
        ({"selector": LABELS, "portLevelMtls": {}}, "spec.portLevelMtls"),
        ({"selector": LABELS, "portLevelMtls": {"0": {}}}, "spec.portLevelMtls.0"),
        ({"selector": LABELS, "portLevelMtls": {"http": {}}}, "spec.portLevelMtls.http"),
        ({"selector": LABELS, "portLevelMtls": {"080": {}}}, "spec.portLevelMtls.080"),
        ({"selector": {"matchLabels": {"a": "*"}}}, "spec.selector.matchLabels.a"),
    ],
)
def test_peer_authentication_is_refused(spec: dict[str, Any], path: str) -> None:
    assert set(found("pa", spec)) == {path}


def test_peer_authentication_is_accepted() -> None:
    assert not found("pa", {"selector": LABELS, "mtls": {"mode": "STRICT"}, "portLevelMtls": {"8080": {}}})
    assert set(found("pa", {"selector": {}}, level="warning")) == {"spec.selector.matchLabels"}
