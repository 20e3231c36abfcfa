"""Tokens and external authorizers before a real server: what is wrong, missing or not answered is refused."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse
from policy_authorizers import over_grpc, provider, service
from policy_rig import ISSUER, Answer, App, Issuer, Rig, running

from artemon.model.decode import load_yaml
from artemon.model.mesh_config import MeshConfig
from artemon.registry.files import read_proxy, snapshot_of
from artemon.translate.authn import NO_KEYS
from artemon.translate.guard import guard_of

pytestmark = pytest.mark.envoy
PORT = 18080
KNOWN, UNRESOLVED, HTTP, GRPC, DEAD, OPEN, UNKNOWN = (f"127.4.0.{n}" for n in range(1, 8))
AUTHORIZERS = {HTTP: "http", GRPC: "grpc", DEAD: "dead", OPEN: "open", UNKNOWN: "unknown"}


class Authorizer(App):
    """Allows whoever says `x-let: in`, and tells the server who it was."""

    def answer(self, told: dict[str, Any]) -> bytes:
        if dict(told["headers"]).get("x-let") == "in" and told["line"].startswith("GET /check/guarded"):
            return b"HTTP/1.1 200 OK\r\nx-who: alice\r\ncontent-length: 0\r\n\r\n"
        return b"HTTP/1.1 401 Unauthorized\r\nx-why: unknown\r\ncontent-length: 2\r\n\r\nno"


def check(request: CheckRequest, _: Any) -> CheckResponse:
    """The same over gRPC."""
    out = CheckResponse()
    if request.attributes.request.http.headers.get("x-let") == "in":
        out.ok_response.headers.add().header.key = "x-who"
        out.ok_response.headers[0].header.value = "alice"
        return out
    out.status.code = 7
    out.denied_response.status.code = 401
    return out


@pytest.fixture(scope="module")
def grpc_authorizer() -> Iterator[int]:
    with over_grpc(check) as port:
        yield port


MESH: dict[str, Any] = {"extensionProviders": [
    provider("http", 9001, "Http", pathPrefix="/check", includeRequestHeadersInCheck=["x-let"],
             headersToUpstreamOnAllow=["x-who"], headersToDownstreamOnDeny=["x-why"], timeout="5s"),
    provider("grpc", 9000, timeout="5s"),
    provider("dead", 9002, statusOnError="503", timeout="0.5s"),
    provider("open", 9002, failOpen=True, timeout="0.5s"),
]}  # fmt: skip


def objects(issuer: Issuer, ports: dict[int, int]) -> Iterator[dict[str, Any]]:
    """The policies of all workloads, and the service of the authorizers."""
    keys = {KNOWN: {"jwks": issuer.jwks}, UNRESOLVED: {"jwksUri": "https://issuer.example/keys"}}
    for number, (address, where) in enumerate(keys.items()):
        rule = {"issuer": ISSUER, "audiences": ["api"], "fromHeaders": [{"name": "x-token", "prefix": "T "}],
                "fromParams": ["token"], "fromCookies": ["token"], "outputPayloadToHeader": "x-payload",
                "outputClaimToHeaders": [{"header": "x-sub", "claim": "sub"}], **where}  # fmt: skip
        yield security("RequestAuthentication", f"r{number}", {"jwtRules": [rule]}, address)
    rules = [{"to": [{"operation": {"paths": ["/guarded"]}}]}]
    for address, name in AUTHORIZERS.items():
        spec = {"action": "CUSTOM", "provider": {"name": name}, "rules": rules}
        yield security("AuthorizationPolicy", name, spec, address)
    yield service(ports)


def security(kind: str, name: str, spec: dict[str, Any], address: str) -> dict[str, Any]:
    chosen = {**spec, "selector": {"matchLabels": {"at": address}}}
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "security.istio.io/v1", "kind": kind, "metadata": meta, "spec": chosen}


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(scope="module")
def rig(issuer: Issuer, grpc_authorizer: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    app, http = App(), Authorizer()
    made = objects(issuer, {9000: grpc_authorizer, 9001: http.port, 9002: 1})
    snapshot = snapshot_of(load_yaml("\n---\n".join(map(json.dumps, made))), MeshConfig.model_validate(MESH))
    port = {"number": PORT, "name": "http", "protocol": "HTTP", "listenPort": PORT, "appPort": app.port}
    views = [
        snapshot.view(read_proxy({"namespace": "default", "ipAddresses": [one], "labels": {"at": one},
                                  "metadata": {"INTERCEPTION_MODE": "NONE", "ARTEMON_PORTS": [port]}}))
        for one in (KNOWN, UNRESOLVED, *AUTHORIZERS)
    ]  # fmt: skip
    assert any(NO_KEYS.encode() in one.SerializeToString() for one in guard_of(views[1]).http)
    with running(views, tmp_path_factory.mktemp("envoy"), (UNKNOWN, PORT), app=app) as found:
        yield found
    http.close()


def ask(rig: Rig, address: str, path: str = "/", **headers: str) -> Answer:
    lines = [f"GET {path} HTTP/1.1", "host: a", *(f"{n.replace('_', '-')}: {v}" for n, v in headers.items())]
    return rig.http(address, PORT, "\r\n".join([*lines, "", ""]).encode("latin-1"))


def test_tokens_from_everywhere_they_may_be(rig: Rig, issuer: Issuer) -> None:
    token = issuer.token(sub="alice", aud="api")
    told = ask(rig, KNOWN, x_token=f"T {token}").told
    headers = dict(told["headers"])
    assert headers["x-sub"] == "alice"
    assert "x-payload" in headers
    assert "x-token" not in headers, "the token goes no further unless it is asked for"
    assert ask(rig, KNOWN, f"/?token={token}").status == 200
    assert ask(rig, KNOWN, cookie=f"token={token}").status == 200
    assert ask(rig, KNOWN).status == 200, "no token is no wrong token"
    spoofed = dict(ask(rig, KNOWN, x_sub="root", x_payload="x").told["headers"])
    assert "x-sub" not in spoofed
    assert "x-payload" not in spoofed
    alike = {"x_sub", "X_Sub", "x_payload"}
    written = "".join(f"{name}: root\r\n" for name in alike)
    for more in ("", f"x-token: T {token}\r\n"):
        request = f"GET / HTTP/1.1\r\nhost: a\r\n{written}{more}\r\n".encode()
        told = rig.http(KNOWN, PORT, request).told
        assert not {name.lower() for name in alike} & set(dict(told["headers"])), (
            "servers read x_sub as x-sub"
        )


def test_wrong_tokens(rig: Rig, issuer: Issuer) -> None:
    good = issuer.token(sub="alice", aud="api")
    head, _, signature = good.split(".")
    mixed = f"{head}.{issuer.token(sub='root', aud='api').split('.')[1]}.{signature}"
    wrong = (
        issuer.token(sub="a", aud="other"), issuer.token(sub="a"), issuer.token(sub="a", aud="api", exp=1),
        issuer.token(sub="a", aud="api", iss="https://evil.example"), Issuer().token(sub="a", aud="api"),
        good[:-9], mixed, "x", "a.b.c", f"eyJhbGciOiJub25lIn0.{good.split('.')[1]}.",
    )  # fmt: skip
    assert [ask(rig, KNOWN, x_token=f"T {one}").status for one in wrong] == [
        *(403, 403),  # for others than us (Envoy)
        *([401] * (len(wrong) - 2)),
    ]


def claims(**more: Any) -> dict[str, Any]:
    return {"iss": ISSUER, "sub": "alice", "aud": "api", "exp": int(time.time()) + 600, **more}


@pytest.mark.parametrize(
    ("header", "refused"),
    [
        pytest.param({}, False, id="plain"),
        pytest.param(
            {"x5u": "https://evil.example/c", "jku": "http://127.0.0.1/k"}, False, id="keys-are-ours"
        ),
        pytest.param({"crit": ["exp"]}, True, id="crit"),
        pytest.param({"crit": ["b64"], "b64": False}, True, id="crit-b64"),
        pytest.param({"crit": []}, True, id="crit-empty"),
        pytest.param({"crit": None}, True, id="crit-null"),
        pytest.param({"crit": "exp"}, True, id="crit-text"),
        pytest.param({"b64": False}, True, id="b64"),
        pytest.param({"kid": "../../dev/null"}, True, id="kid-path"),
        pytest.param({"alg": "ES384"}, True, id="alg-of-another-curve"),
        pytest.param({"alg": "HS256"}, True, id="alg-symmetric"),
        pytest.param({"alg": "none"}, True, id="alg-none"),
        pytest.param({"alg": None}, True, id="alg-null"),
    ],
)
def test_t13_headers_of_tokens(rig: Rig, issuer: Issuer, header: dict[str, Any], refused: bool) -> None:
    status = ask(rig, KNOWN, x_token=f"T {issuer.signed(header, claims())}").status
    assert status in ((401, 403) if refused else (200,))


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        pytest.param(claims(nbf=int(time.time()) + 30), False, id="clocks-may-differ"),
        pytest.param(claims(nbf=int(time.time()) + 3600), True, id="nbf"),
        pytest.param(claims(exp=int(time.time()) - 3600), True, id="expired"),
        pytest.param(claims(exp="9999999999"), True, id="exp-text"),
        pytest.param(claims(exp=-1), True, id="exp-negative"),
        pytest.param(claims(iss=[ISSUER]), True, id="issuer-list"),
        pytest.param(claims(iss=ISSUER + "/"), True, id="issuer-slash"),
        pytest.param(claims(iss=ISSUER.upper()), True, id="issuer-case"),
        pytest.param(claims(aud=["x", "api"]), False, id="several-audiences"),
        pytest.param(claims(aud=[]), True, id="no-audiences"),
        pytest.param(claims(aud="API"), True, id="audience-case"),
        pytest.param(claims(aud={"api": 1}), True, id="audience-object"),
        pytest.param(b"[]", True, id="list"),
        pytest.param(b"", True, id="nothing"),
        pytest.param(b'{"iss":', True, id="cut"),
    ],
)
def test_t13_claims_of_tokens(rig: Rig, issuer: Issuer, body: dict[str, Any] | bytes, refused: bool) -> None:
    status = ask(rig, KNOWN, x_token=f"T {issuer.signed({}, body)}").status
    assert status in ((401, 403) if refused else (200,))


def test_t13_claims_that_are_given_twice(rig: Rig, issuer: Issuer) -> None:
    """The server reads what Envoy judged: of two issuers the foreign one is not taken for ours."""
    text = json.dumps(claims())
    for body in (f'{{"iss":"https://evil.example",{text[1:]}', f'{text[:-1]},"iss":"https://evil.example"}}'):
        answer = ask(rig, KNOWN, x_token=f"T {issuer.signed({}, body.encode())}")
        if answer.status == 200:
            told = dict(answer.told["headers"])["x-payload"]
            assert json.loads(base64.urlsafe_b64decode(told + "=" * (-len(told) % 4)))["iss"] == ISSUER
        else:
            assert answer.status in (401, 403)


def test_t13_two_tokens_in_two_headers(rig: Rig, issuer: Issuer) -> None:
    """Nobody passes a wrong token beside a right one, nor brings Envoy down (CVE-2025-64527)."""
    good, bad = issuer.signed({}, claims()), Issuer().signed({}, claims(sub="root"))
    for pair in ((good, bad), (bad, good), (bad, bad), (good, "x"), ("", bad)):
        lines = "".join(f"x-token: T {one}\r\n" for one in pair)
        request = f"GET / HTTP/1.1\r\nhost: a\r\n{lines}\r\n".encode()
        answer = rig.http(KNOWN, PORT, request)
        assert answer.status in (401, 403), pair
    assert ask(rig, KNOWN, x_token=f"T {good}").status == 200


def test_nobody_has_the_key_of_nobody() -> None:
    x = base64.urlsafe_b64decode(json.loads(NO_KEYS)["keys"][0]["x"] + "=")
    assert x == hashlib.sha256(b"artemon: nobody signs with this key 1").digest()


def test_without_keys_no_token_is_right(rig: Rig, issuer: Issuer) -> None:
    assert ask(rig, UNRESOLVED, x_token=f"T {issuer.token(sub='a', aud='api')}").status == 401
    assert ask(rig, UNRESOLVED).status == 200


@pytest.mark.parametrize("address", [HTTP, GRPC])
def test_the_authorizer_decides(rig: Rig, address: str) -> None:
    assert ask(rig, address, "/guarded").status == 401
    assert dict(ask(rig, address, "/guarded", x_let="in").told["headers"])["x-who"] == "alice"
    assert ask(rig, address, "/other").status == 200, "nobody is asked about other paths"


def test_an_authorizer_that_does_not_answer(rig: Rig) -> None:
    assert ask(rig, DEAD, "/guarded").status == 503
    assert ask(rig, OPEN, "/guarded").status == 200
    assert ask(rig, UNKNOWN, "/guarded", x_let="in").status == 403
    assert ask(rig, UNKNOWN, "/other").status == 200
