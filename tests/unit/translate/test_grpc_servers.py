"""What stands before a gRPC server: bans and policies; where tokens must be looked at, it serves nothing."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import re2
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.rbac.v3.rbac_pb2 import RBAC
from envoy.extensions.filters.http.rbac.v3.rbac_pb2 import RBAC as HttpRbac
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from translate_mesh import view_of

from artemon.snapshot.view import ProxyView
from artemon.translate.authz.texts import path_and_query, without_bytes
from artemon.translate.grpc.servers import server_listeners

PORTS = [{"name": "grpc", "number": 7070, "protocol": "GRPC", "listenPort": 7070, "appPort": 7070}]
PROXY = {
    "name": "echo-1",
    "labels": {"app": "echo"},
    "ipAddresses": ["10.0.0.7"],
    "metadata": {"GENERATOR": "grpc", "ARTEMON_SERVICE": "echo", "ARTEMON_PORTS": json.dumps(PORTS)},
}
POLICY = """
apiVersion: security.istio.io/v1
kind: {kind}
metadata: {{name: p, namespace: default{more}}}
spec: {spec}
"""


def served(kind: str = "AuthorizationPolicy", spec: str = "{}", more: str = "") -> bool:
    return bool(server_listeners(view_of(POLICY.format(kind=kind, spec=spec, more=more), PROXY)))


def test_without_policies_it_serves() -> None:
    assert server_listeners(view_of("", PROXY))
    assert served(spec="{selector: {matchLabels: {app: other}}}")


def filters(view: ProxyView) -> dict[str, HttpRbac]:
    """By name, in order, without the router."""
    listener = Listener.FromString(server_listeners(view)[0].body)
    manager = HttpConnectionManager()
    assert listener.default_filter_chain.filters[0].typed_config.Unpack(manager)
    found = {}
    for one in manager.http_filters[:-1]:
        found[one.name.rpartition(".")[2]] = HttpRbac()
        assert one.typed_config.Unpack(found[one.name.rpartition(".")[2]])
    assert manager.http_filters[-1].name == "envoy.filters.http.router"
    return found


def test_tokens_close_it() -> None:
    assert not served("RequestAuthentication", "{jwtRules: [{issuer: i, jwks: '{\"keys\": []}'}]}")


def test_what_only_watches_does_nothing() -> None:
    audit = POLICY.format(kind="AuthorizationPolicy", spec="{action: AUDIT, rules: [{}]}", more="")
    assert filters(view_of(audit, PROXY)) == {}
    tried = ', annotations: {istio.io/dry-run: "true"}'
    dry = POLICY.format(kind="AuthorizationPolicy", spec="{action: DENY, rules: [{}]}", more=tried)
    assert filters(view_of(dry, PROXY)) == {}


def test_bans_and_policies_in_their_order() -> None:
    texts = [
        POLICY.format(kind="AuthorizationPolicy", spec=spec, more="").replace("name: p", f"name: p{number}")
        for number, spec in enumerate((
            "{rules: [{to: [{operation: {paths: ['/a/{*}']}}]}]}",
            "{action: DENY, rules: [{to: [{operation: {methods: [GET]}}]}]}",
            "{action: CUSTOM, provider: {name: x}, rules: [{}]}",
        ))
    ]  # fmt: skip
    view = replace(view_of("---".join(texts), PROXY), bans=("spiffe://cluster.local/ns/a/sa/b",))
    found = filters(view)
    assert list(found) == ["bans", "custom", "deny", "allow"]
    assert [one.rules.action for one in found.values()] == [RBAC.DENY, RBAC.DENY, RBAC.DENY, RBAC.ALLOW]
    (banned,) = found["bans"].rules.policies.values()
    assert banned.principals[0].authenticated.principal_name.exact == "spiffe://cluster.local/ns/a/sa/b"
    assert "uri_template" not in str(found["allow"]), "which gRPC does not know"


def test_rules_about_tokens_allow_nothing() -> None:
    spec = "{rules: [{from: [{source: {requestPrincipals: ['*']}}]}]}"
    found = filters(view_of(POLICY.format(kind="AuthorizationPolicy", spec=spec, more=""), PROXY))
    assert found["allow"].rules.action == RBAC.ALLOW
    assert len(found["allow"].rules.policies) == 0


def test_patterns_are_those_that_every_language_takes() -> None:
    """Go and Java refuse a pattern with single bytes, and with it the listener."""
    rule = (
        "{to: [{operation: {paths: ['/a/{**}', '*/x', '/b\\\\Cc*'], hosts: ['*.example']}}],"
        " when: [{key: 'request.headers[x-a]', values: [b]}]}"
    )
    found = filters(
        view_of(
            POLICY.format(kind="AuthorizationPolicy", spec=f"{{action: DENY, rules: [{rule}]}}", more=""),
            PROXY,
        )
    )
    text = str(found["deny"])
    assert "(?s:.)" in text
    assert "\\C" not in text.replace("\\\\\\\\C", "")


@pytest.mark.parametrize(
    ("value", "path", "matches"),
    [
        ("/a.B/C", "/a.B/C", True),
        ("/a.B/C", "/a.B/C?x=1", True),
        ("/a.B/C", "/a.B/Cx", False),
        ("/a.B/C", "/x?/a.B/C", False),
        ("/a.B/*", "/a.B/C?x", True),
        ("*/C", "/a.B/C?x", True),
        ("*/C", "/x?/C", False),
        ("/a.B/{*}", "/a.B/C?/y", True),
        ("/a.B/{*}", "/a.B/C/D", False),
        ("/{**}/C", "/a/b/C?", True),
        ("*", "/anything", True),
    ],
)
@pytest.mark.parametrize("wide", [False, True])
def test_grpc_takes_paths_with_any_query(value: str, path: str, matches: bool, wide: bool) -> None:
    pattern = without_bytes(path_and_query(value, wide=wide).safe_regex.regex)
    assert bool(re2.fullmatch(pattern, path)) == matches
