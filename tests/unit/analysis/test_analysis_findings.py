"""Findings across objects that Istio's cases leave out, suppression, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from quick_yaml import read_documents

from artemon.analysis import Material, Running, analyze, is_suppressed
from artemon.model.mesh_config import MeshConfig
from meshctl.__main__ import meshctl


def found(text: str, **more: object) -> list[tuple[str, str]]:
    """Code and path of all that is found in objects of namespace `shop`."""
    material = Material.of(read_documents(text), namespace="shop", **more)
    return [(one.code, one.path) for one in analyze(material)]


def policy(name: str, spec: str, kind: str = "AuthorizationPolicy") -> str:
    meta = f"{{name: {name}, namespace: shop}}"
    return f"---\n{{apiVersion: security.istio.io/v1, kind: {kind}, metadata: {meta}, spec: {spec}}}\n"


def networking(kind: str, name: str, spec: str, namespace: str = "shop") -> str:
    meta = f"{{name: {name}, namespace: {namespace}}}"
    return f"---\n{{apiVersion: networking.istio.io/v1, kind: {kind}, metadata: {meta}, spec: {spec}}}\n"


ENTRY = networking(
    "ServiceEntry", "cart",
    "{hosts: [cart.shop.svc.cluster.local], location: MESH_INTERNAL, resolution: STATIC,"
    " ports: [{number: 80, name: http, protocol: HTTP}],"
    " endpoints: [{address: 10.0.0.1, labels: {app: cart}}]}",
)  # fmt: skip
ASKS = "{{action: CUSTOM, provider: {{name: {}}}, selector: {{matchLabels: {{app: cart{}}}}}, rules: [{{}}]}}"
MESH = MeshConfig.model_validate(
    {
        "extensionProviders": [
            {"name": name, "envoyExtAuthzGrpc": {"service": "authz.example", "port": 9000}}
            for name in ("one", "two")
        ]
    }
)


def test_two_authorizers_of_one_workload() -> None:
    both = policy("a", ASKS.format("one", "")) + policy("b", ASKS.format("two", ""))
    wanted = [("IST0133", "spec.provider.name")] * 2
    assert found(ENTRY + both, mesh=MESH) == wanted
    same = policy("a", ASKS.format("one", "")) + policy("b", ASKS.format("one", ""))
    assert found(ENTRY + same, mesh=MESH) == []
    assert ("IST0101", "spec.provider.name") in found(
        ENTRY + policy("a", ASKS.format("nobody", "")), mesh=MESH
    )


def test_a_selector_that_selects_nobody() -> None:
    rule = "{selector: {matchLabels: {app: nobody}}, rules: [{}]}"
    assert ("IST0127", "spec.selector") in found(ENTRY + policy("a", rule))
    joined = [Running("shop", {"app": "nobody"})]
    assert ("IST0127", "spec.selector") not in found(ENTRY + policy("a", rule), joined=joined)
    elsewhere = [Running("other", {"app": "nobody"})]
    assert ("IST0127", "spec.selector") in found(ENTRY + policy("a", rule), joined=elsewhere)


def test_subsets() -> None:
    rule = networking("DestinationRule", "cart", "{host: cart, subsets: [{name: v1, labels: {version: v1}}]}")
    assert found(ENTRY + rule) == [("IST0173", "spec.subsets[0].labels")]
    assert found(ENTRY.replace("{app: cart}", "{version: v1}") + rule) == []
    route = networking(
        "VirtualService",
        "cart",
        "{hosts: [cart], http: [{route: [{destination: {host: cart, subset: v2}}]}]}",
    )
    assert ("IST0101", "spec.http[0].route[0].destination.subset") in found(ENTRY + rule + route)


def test_gateways_credentials_and_routes_nobody_reaches() -> None:
    gateway = networking(
        "Gateway", "edge",
        "{selector: {app: cart}, servers: [{hosts: [a.example],"
        " port: {number: 443, name: h, protocol: HTTPS},"
        " tls: {mode: SIMPLE, credentialName: cert}}]}",
    )  # fmt: skip
    where = "spec.servers[0].tls.credentialName"
    assert ("IST0101", where) in found(ENTRY + gateway)
    assert ("IST0101", where) not in found(ENTRY + gateway, secrets={("shop", "cert")})
    secret = "---\n{apiVersion: v1, kind: Secret, metadata: {name: cert, namespace: shop}, data: {a: Yg==}}\n"
    assert ("IST0161", where) in found(ENTRY + gateway + secret)
    to = "route: [{destination: {host: cart}}]"
    route = networking(
        "VirtualService", "a",
        f"{{hosts: [a.example], gateways: [edge, gone], http: [{{{to}}}, {{{to}}}]}}",
    )  # fmt: skip
    assert {("IST0101", "spec.gateways[1]"), ("IST0130", "spec.http[1]")} <= set(
        found(ENTRY + gateway + route)
    )


def test_what_is_invalid_is_found_too() -> None:
    assert ("IST0106", "spec.host") in found(networking("DestinationRule", "a", "{}"))
    assert ("IST0106", "spec.hots") in found(networking("DestinationRule", "a", "{host: a, hots: b}"))


def test_an_annotation_suppresses_codes() -> None:
    rule = policy("a", "{selector: {matchLabels: {app: nobody}}, rules: [{}]}")
    marked = rule.replace(
        "namespace: shop", "namespace: shop, annotations: {galley.istio.io/analyze-suppress: X}"
    )
    assert found(marked.replace("X", '"IST0101, IST0127"')) == []
    assert found(marked.replace("X", '"*"')) == []
    assert found(marked.replace("X", "IST0101")) == [("IST0127", "spec.selector")]


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        ("IST0101=VirtualService shop/cart", True),
        ("IST0101=VirtualService cart.shop", True),
        ("IST0101=VirtualService shop/*", True),
        ("*=VirtualService *", True),
        ("IST0102=VirtualService shop/cart", False),
        ("IST0101=Gateway shop/cart", False),
        ("IST0101=VirtualService other/*", False),
    ],
)
def test_suppression(rule: str, matches: bool) -> None:
    code, _, resource = rule.partition("=")
    assert is_suppressed("IST0101", "VirtualService shop/cart", [(code, resource)]) is matches


def run(folder: Path, text: str, *more: str) -> Result:
    path = folder / "mesh.yaml"
    path.write_text(text)
    return CliRunner().invoke(meshctl, ["analyze", "-f", str(path), *more], standalone_mode=False)


def test_the_command_on_files(tmp_path: Path) -> None:
    text = ENTRY + policy("a", "{selector: {matchLabels: {app: nobody}}, rules: [{}]}")
    plain = run(tmp_path, text)
    assert plain.return_value == 0
    assert plain.stdout.startswith(
        "Warning [IST0127] (AuthorizationPolicy shop/a) spec.selector: No matching"
    )
    assert run(tmp_path, text, "--level", "warning").return_value == 1
    assert (
        run(tmp_path, text, "--level", "warning", "-S", "IST0127=AuthorizationPolicy a.shop").return_value
        == 0
    )
    (one,) = json.loads(run(tmp_path, text, "-o", "json").stdout)
    assert one.keys() == {"code", "level", "resource", "path", "message"}
    assert (one["code"], one["level"], one["resource"]) == (
        "IST0127",
        "warning",
        "AuthorizationPolicy shop/a",
    )
    assert json.loads(run(tmp_path, text, "-o", "json", "--output-threshold", "error").stdout) == []


def test_the_command_says_what_is_wrong_with_itself(tmp_path: Path) -> None:
    wrong = CliRunner().invoke(meshctl, ["analyze", "-f", str(tmp_path), "-S", "IST9999=x"])
    assert wrong.exit_code == 2
    assert "must be CODE=RESOURCE" in wrong.output
    listed = CliRunner().invoke(meshctl, ["analyze", "-L"])
    assert "IST0101  error    ReferencedResourceNotFound" in listed.output


INJECTED = """
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {istio-injection: enabled}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio-sidecar-injector, namespace: istio-system}
data: {values: '{"global": {"hub": "hub.example", "tag": "1.2", "proxy": {"image": "proxyv2"}}}'}
---
apiVersion: v1
kind: Pod
metadata: {name: cart, namespace: shop, annotations: {}}
spec: {containers: [{name: app, image: app:1}, {name: istio-proxy, image: "hub.example/proxyv2:1.1"}]}
"""


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ((), ["IST0158"]),
        ((":1.1", ":1.2"), []),
        (("name: istio-proxy", "name: other"), ["IST0103"]),
        (("annotations: {}", "annotations: {sidecar.istio.io/proxyImage: x}"), []),
        (("istio-injection: enabled", "istio.io/rev: canary"), []),
        (('"image": "proxyv2"', '"image": "hub.example/proxyv2:1.1"'), []),
        (("{values:", "{other:"), []),
    ],
)
def test_proxies_of_another_image_than_is_injected(changes: tuple[str, ...], codes: list[str]) -> None:
    assert [code for code, _ in found(INJECTED.replace(*changes) if changes else INJECTED)] == codes
