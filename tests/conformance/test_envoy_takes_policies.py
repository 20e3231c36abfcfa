"""Real Envoys take what policies are translated to: every field, every action, sidecars and gateways."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from policy_fields import CONDITIONS, OPERATIONS, SOURCES
from real_envoy import complaint

from artemon.model.decode import load_yaml
from artemon.model.mesh_config import MeshConfig
from artemon.registry.files import read_proxy, snapshot_of

pytestmark = pytest.mark.envoy
MESH: dict[str, Any] = {
    "trustDomainAliases": ["old.example"],
    "extensionProviders": [
        {"name": "grpc", "envoyExtAuthzGrpc": {
            "service": "authz.default.svc.cluster.local", "port": 9000, "timeout": "1s", "failOpen": True,
            "statusOnError": "503", "includeRequestBodyInCheck": {"maxRequestBytes": 10},
        }},
        {"name": "http", "envoyExtAuthzHttp": {
            "service": "authz.default.svc.cluster.local", "port": 9001, "pathPrefix": "/check",
            "includeRequestHeadersInCheck": ["x-*", "*-y", "z", "*"], "headersToUpstreamOnAllow": ["a-*"],
            "includeAdditionalHeadersInCheck": {"who": "me"}, "headersToDownstreamOnDeny": ["*"],
        }},
    ],
}  # fmt: skip
OTHERS = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: authz}
spec:
  hosts: [authz.default.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 9000, name: grpc, protocol: GRPC}, {number: 9001, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gateway}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {hosts: ["*"], port: {number: 8080, name: http, protocol: HTTP}}
  - {hosts: ["*"], port: {number: 8081, name: tcp, protocol: TCP}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: tcp}
spec:
  hosts: ["*"]
  gateways: [gateway]
  tcp: [{match: [{port: 8081}], route: [{destination: {host: authz.default.svc.cluster.local, port: {number: 9000}}}]}]
"""  # noqa: E501
PROXIES = {
    "intercepting": {"namespace": "default"},
    "direct": {
        "namespace": "default",
        "ipAddresses": ["127.0.0.9"],
        "metadata": {
            "INTERCEPTION_MODE": "NONE",
            "ARTEMON_PORTS": [
                {"number": 80, "name": "http", "protocol": "HTTP", "listenPort": 8080},
                {"number": 81, "name": "tcp", "protocol": "TCP", "listenPort": 8081},
            ],
        },
    },
    "gateway": {"type": "router", "namespace": "default", "labels": {"istio": "ingressgateway"}},
}


def policy(action: str, rule: dict[str, Any], **meta: Any) -> str:
    name = f"{action.lower()}-{len(json.dumps(rule))}-{len(meta)}"
    spec: dict[str, Any] = {"action": action, "rules": [rule]}
    if action == "CUSTOM":
        spec["provider"] = {"name": "grpc"}
    return json.dumps({"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
                       "metadata": {"name": name, **meta}, "spec": spec})  # fmt: skip


def everything(action: str, **meta: Any) -> str:
    """One policy with every field; CUSTOM cannot ask for identities."""
    identities = {"principals", "namespaces", "serviceAccounts", "trustDomains", "requestPrincipals"}
    known = action != "CUSTOM"
    sources = {name: values for name, values in SOURCES.items() if known or name not in identities}
    accounts = {name: sources.pop(name) for name in ["serviceAccounts"] if name in sources}
    both = [{**fields, **{f"not{n[0].upper()}{n[1:]}": v for n, v in fields.items()}}
            for fields in (sources, accounts) if fields]  # fmt: skip
    operation = {**OPERATIONS, **{f"not{n[0].upper()}{n[1:]}": v for n, v in OPERATIONS.items()}}
    told = {key for key in CONDITIONS if key.startswith(("source.", "request.auth")) and key != "source.ip"}
    asked = {key: values for key, values in CONDITIONS.items() if known or key not in told}
    conditions = [{"key": key, "values": values, "notValues": values} for key, values in asked.items()]
    rule = {"from": [{"source": one} for one in both], "to": [{"operation": operation}], "when": conditions}
    return policy(action, rule, **meta)


@pytest.mark.parametrize("proxy", PROXIES)
def test_every_field_of_every_action(proxy: str, tmp_path: Path) -> None:
    tried = {"annotations": {"istio.io/dry-run": "true"}}
    policies = [everything(action) for action in ("ALLOW", "DENY", "AUDIT", "CUSTOM")]
    policies += [everything(action, **tried) for action in ("ALLOW", "DENY")]
    config = "\n---\n".join([OTHERS, *policies])
    mesh = MeshConfig.model_validate(MESH)
    view = snapshot_of(load_yaml(config), mesh).view(read_proxy(PROXIES[proxy]))
    assert len(view.policies.authorization) == 6
    assert complaint(view, tmp_path) == ""


@pytest.mark.parametrize("provider", ["http", "unknown"])
def test_authorizers(provider: str, tmp_path: Path) -> None:
    one = policy("CUSTOM", {"to": [{"operation": {"paths": ["/a"]}}]}).replace('"grpc"', f'"{provider}"')
    mesh = MeshConfig.model_validate(MESH)
    view = snapshot_of(load_yaml(f"{OTHERS}\n---\n{one}"), mesh).view(read_proxy(PROXIES["intercepting"]))
    assert complaint(view, tmp_path) == ""
