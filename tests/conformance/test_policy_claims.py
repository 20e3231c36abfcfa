"""Tokens of several issuers, routes by claims, claims as headers, client addresses behind trusted proxies, on
a real Envoy: what a client merely says of itself never counts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from policy_rig import ISSUER, Answer, App, Caller, Issuer, Rig, running

from artemon.model.decode import load_yaml
from artemon.model.mesh_config import MeshConfig
from artemon.registry.files import read_proxy, snapshot_of
from artemon.snapshot.view import ProxyView

pytestmark = pytest.mark.envoy
PORT = 18080
EDGE, HOPS, SIDECAR = "127.8.0.1", "127.8.0.2", "127.8.0.3"
"""A gateway that clients come to, one behind a trusted proxy, a workload."""
PARTNER = "https://partner.example"
OFFICE = "10.1.0.0/16"


class Named(App):
    """Says its name beside what it was told."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__()

    def answer(self, told: dict[str, Any]) -> bytes:
        return super().answer({**told, "name": self.name})


@pytest.fixture(scope="module")
def issuers() -> tuple[Issuer, Issuer]:
    return Issuer("1"), Issuer("2")


def match(**matches: Any) -> dict[str, Any]:
    return {"match": [matches], "route": [{"destination": {"host": "inner.example"}}]}


ROUTES = [
    match(uri={"exact": "/group"}, headers={"@request.auth.claims.groups": {"exact": "admin"}}),
    match(uri={"exact": "/nested"}, headers={"@request.auth.claims[org][unit]": {"prefix": "eng"}}),
    match(uri={"exact": "/scope"}, headers={"@request.auth.claims.scope": {"exact": "write"}}),
    match(uri={"exact": "/without"}, withoutHeaders={"@request.auth.claims.groups": {"exact": "guest"}}),
    {"route": [{"destination": {"host": "outer.example"}}]},
]


def objects(issuers: tuple[Issuer, Issuer], inner: App, outer: App) -> Iterator[dict[str, Any]]:
    def one(kind: str, name: str, spec: dict[str, Any], group: str = "security") -> dict[str, Any]:
        meta = {"name": name, "namespace": "default"}
        return {"apiVersion": f"{group}.istio.io/v1", "kind": kind, "metadata": meta, "spec": spec}

    rule = {"outputPayloadToHeader": "x-payload", "outputClaimToHeaders": [
        {"header": "x-sub", "claim": "sub"}, {"header": "x-unit", "claim": "org.unit"},
        {"header": "x-age", "claim": "age"}, {"header": "x-vip", "claim": "vip"},
    ]}  # fmt: skip
    known: list[dict[str, Any]] = [
        {"issuer": ISSUER, "jwks": issuers[0].jwks, **rule},
        {"issuer": PARTNER, "jwks": issuers[1].jwks, "fromHeaders": [{"name": "x-partner"}], **rule},
    ]
    yield one("RequestAuthentication", "tokens", {"jwtRules": known})
    server = {"hosts": ["*"], "port": {"number": PORT, "name": "http", "protocol": "HTTP"}}
    yield one("Gateway", "edge", {"selector": {"is": "gateway"}, "servers": [server]}, "networking")
    yield one("VirtualService", "v", {"hosts": ["*"], "gateways": ["edge"], "http": ROUTES}, "networking")
    for name, app in (("inner", inner), ("outer", outer)):
        port = {"number": 80, "name": "http", "protocol": "HTTP", "targetPort": app.port}
        spec = {"hosts": [f"{name}.example"], "location": "MESH_INTERNAL", "resolution": "STATIC",
                "ports": [port], "endpoints": [{"address": "127.0.0.1"}]}  # fmt: skip
        yield one("ServiceEntry", name, spec, "networking")
    paths = {"to": [{"operation": {"paths": ["/office"]}}]}
    inside = {"from": [{"source": {"notRemoteIpBlocks": [OFFICE]}}], **paths}
    yield one("AuthorizationPolicy", "office", {"action": "DENY", "rules": [inside]})
    near = {"from": [{"source": {"ipBlocks": ["127.0.0.9"]}}], "to": [{"operation": {"paths": ["/near"]}}]}
    yield one("AuthorizationPolicy", "near", {"action": "DENY", "rules": [near]})
    partners = {"from": [{"source": {"notRequestPrincipals": [f"{PARTNER}/*"]}}],
                "to": [{"operation": {"paths": ["/partners"]}}]}  # fmt: skip
    yield one("AuthorizationPolicy", "partners", {"action": "DENY", "rules": [partners]})


def views(made: list[dict[str, Any]], app: App) -> Iterator[ProxyView]:
    text = "\n---\n".join(map(json.dumps, made))
    gateway = {"type": "router", "namespace": "default", "labels": {"is": "gateway"}}
    for address, hops in ((EDGE, 0), (HOPS, 1)):
        mesh = MeshConfig.model_validate({"defaultConfig": {"gatewayTopology": {"numTrustedProxies": hops}}})
        where = {"ipAddresses": [address], "metadata": {"ARTEMON_GATEWAY_BIND": address}}
        yield snapshot_of(load_yaml(text), mesh).view(read_proxy({**gateway, **where}))
    port = {"number": PORT, "name": "http", "protocol": "HTTP", "listenPort": PORT, "appPort": app.port}
    metadata = {"INTERCEPTION_MODE": "NONE", "ARTEMON_PORTS": [port]}
    proxy = {"namespace": "default", "ipAddresses": [SIDECAR], "metadata": metadata}
    yield snapshot_of(load_yaml(text), MeshConfig()).view(read_proxy(proxy))


@pytest.fixture(scope="module")
def rig(issuers: tuple[Issuer, Issuer], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    inner, outer = Named("inner"), Named("outer")
    made = views(list(objects(issuers, inner, outer)), outer)
    with running(made, tmp_path_factory.mktemp("envoy"), (SIDECAR, PORT), app=outer) as found:
        yield found
    inner.close()


def ask(rig: Rig, address: str, path: str, *headers: tuple[str, str], source: str = "127.0.0.1") -> Answer:
    lines = [f"GET {path} HTTP/1.1", "host: a", *(f"{name}: {value}" for name, value in headers)]
    return rig.http(address, PORT, "\r\n".join([*lines, "", ""]).encode(), Caller(source=source))


def bearer(token: str) -> tuple[str, str]:
    return "authorization", f"Bearer {token}"


@pytest.mark.parametrize(
    ("path", "claims", "name"),
    [
        ("/group", {"groups": ["dev", "admin"]}, "inner"), ("/group", {"groups": "admin"}, "inner"),
        ("/group", {"groups": ["administrator"]}, "outer"), ("/group", {"groups": "admin,dev"}, "outer"),
        ("/group", {"groups": {"admin": True}}, "outer"), ("/group", {"Groups": "admin"}, "outer"),
        ("/group", {}, "outer"),
        ("/nested", {"org": {"unit": "engine"}}, "inner"),
        ("/nested", {"org": {"unit": ["x", "eng"]}}, "inner"),
        ("/nested", {"org.unit": "eng"}, "outer"), ("/nested", {"org": "eng"}, "outer"),
        ("/scope", {"scope": "read write"}, "inner"), ("/scope", {"scope": "read-write"}, "outer"),
        ("/without", {"groups": ["guest"]}, "outer"), ("/without", {"groups": ["admin"]}, "inner"),
    ],
)  # fmt: skip
def test_routes_by_claims(
    rig: Rig, issuers: tuple[Issuer, Issuer], path: str, claims: dict[str, Any], name: str
) -> None:
    assert ask(rig, EDGE, path, bearer(issuers[0].token(sub="a", **claims))).told["name"] == name


@pytest.mark.parametrize(
    "header",
    ["@request.auth.claims.groups", "request.auth.claims.groups", "groups", "x-jwt-claims", "x-payload"],
)
def test_t31_claims_are_not_what_a_header_says(rig: Rig, header: str) -> None:
    answer = ask(rig, EDGE, "/group", (header, "admin"))
    assert answer.status == 400 or answer.told["name"] == "outer"


def test_several_issuers(rig: Rig, issuers: tuple[Issuer, Issuer]) -> None:
    ours, partner = (
        one.token(sub="a", iss=name) for one, name in zip(issuers, (ISSUER, PARTNER), strict=True)
    )
    assert ask(rig, EDGE, "/partners").status == 403
    assert ask(rig, EDGE, "/partners", bearer(ours)).status == 403
    assert ask(rig, EDGE, "/partners", ("x-partner", partner)).status == 200
    crossed = issuers[0].token(sub="a", iss=PARTNER), issuers[1].token(sub="a", iss=ISSUER)
    assert ask(rig, EDGE, "/", ("x-partner", crossed[0])).status == 401, (
        "signed with the key of another issuer"
    )
    assert ask(rig, EDGE, "/", bearer(crossed[1])).status == 401
    assert ask(rig, EDGE, "/", bearer(partner)).status in (200, 401)
    assert ask(rig, EDGE, "/partners", bearer(partner)).status in (401, 403), "it is not where it belongs"
    assert ask(rig, EDGE, "/partners", ("x-partner", "x.y.z"), bearer(ours)).status in (401, 403)


def test_claims_become_headers(rig: Rig, issuers: tuple[Issuer, Issuer]) -> None:
    lies = [("x-sub", "root"), ("X-Unit", "root"), ("x-age", "0"), ("x-vip", "true"), ("x-payload", "e30")]
    token = issuers[0].token(sub="alice", org={"unit": "eng"}, age=41, vip=False)
    for address in (EDGE, SIDECAR):
        told = ask(rig, address, "/", bearer(token), *lies).told["headers"]
        found = {
            name: [value for key, value in told if key == name]
            for name in ("x-sub", "x-unit", "x-age", "x-vip")
        }
        assert found == {"x-sub": ["alice"], "x-unit": ["eng"], "x-age": ["41"], "x-vip": ["false"]}
        names = {name for name, _ in ask(rig, address, "/", *lies).told["headers"]}
        assert not names & {"x-sub", "x-unit", "x-age", "x-vip", "x-payload"}, (
            "without a token nobody says it"
        )


@pytest.mark.parametrize(
    ("address", "forwarded", "status"),
    [
        pytest.param(EDGE, ["10.1.2.3"], 403, id="nobody-before-it-is-trusted"),
        pytest.param(EDGE, [], 403, id="its-own-address"),
        pytest.param(HOPS, ["10.1.2.3"], 200, id="as-the-trusted-proxy-says"),
        pytest.param(HOPS, ["192.0.2.9, 10.1.2.3"], 200, id="the-last-one-counts"),
        pytest.param(HOPS, ["10.1.2.3, 192.0.2.9"], 403, id="what-the-client-sent-before-does-not"),
        pytest.param(HOPS, ["10.1.2.3", "192.0.2.9"], 403, id="nor-in-a-line-of-its-own"),
        pytest.param(HOPS, ["192.0.2.9", "10.1.2.3"], 200, id="lines-are-one-list"),
        pytest.param(HOPS, ["10.1.2.3,"], 403, id="an-empty-end"),
        pytest.param(HOPS, ["10.1.2.3, unknown"], 403, id="no-address"),
        pytest.param(HOPS, ["10.1.2.3, ::ffff:192.0.2.9"], 403, id="mapped"),
        pytest.param(SIDECAR, ["10.1.2.3"], 200, id="a-sidecar-believes-its-gateway"),
        pytest.param(SIDECAR, ["10.1.2.3, 192.0.2.9"], 403, id="and-counts-the-last"),
    ],
)
def test_client_addresses(rig: Rig, address: str, forwarded: list[str], status: int) -> None:
    headers = [("x-forwarded-for", one) for one in forwarded]
    assert ask(rig, address, "/office", *headers).status == status


@pytest.mark.parametrize("header", ["x-real-ip", "forwarded", "x-envoy-external-address", "true-client-ip",
                                    "x-envoy-original-dst-host", "x-client-ip"])  # fmt: skip
def test_t31_other_headers_are_no_address(rig: Rig, header: str) -> None:
    value = "for=10.1.2.3" if header == "forwarded" else "10.1.2.3"
    for address in (EDGE, HOPS, SIDECAR):
        assert ask(rig, address, "/office", (header, value)).status == 403


def test_addresses_of_connections(rig: Rig) -> None:
    for address in (EDGE, HOPS, SIDECAR):
        assert ask(rig, address, "/near", ("x-forwarded-for", "127.0.0.9")).status == 200
        assert ask(rig, address, "/near", ("x-forwarded-for", "10.1.2.3"), source="127.0.0.9").status == 403
