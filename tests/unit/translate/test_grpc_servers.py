"""A gRPC server that policies protect serves nothing: they are not enforced there; it never fails open."""

from __future__ import annotations

import json

import pytest
from translate_mesh import view_of

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


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("AuthorizationPolicy", "{}"),
        ("AuthorizationPolicy", "{action: DENY, rules: [{to: [{operation: {methods: [GET]}}]}]}"),
        ("RequestAuthentication", "{jwtRules: [{issuer: i, jwks: '{\"keys\": []}'}]}"),
    ],
)
def test_what_cannot_be_enforced_closes_it(kind: str, spec: str) -> None:
    assert not served(kind, spec)


def test_what_only_watches_closes_nothing() -> None:
    assert served(spec="{action: AUDIT, rules: [{}]}")
    assert served(spec="{action: DENY, rules: [{}]}", more=', annotations: {istio.io/dry-run: "true"}')
