"""Who gets in, and who may do what."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from galley_api import SERVICES, Api, virtual_service

from artemon.errors import ArtemonError, Refused
from artemon.pki.spiffe import SpiffeId
from galleyd.callers import READERS, Caller, admin_token, certificate_caller, digest, read_tokens
from galleyd.rights import Ask, Rights


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        pytest.param({"Authorization": ""}, 401, id="nobody"),
        pytest.param({"Authorization": "Bearer wrong"}, 401, id="wrong-token"),
        pytest.param({"Authorization": "Basic YWRtaW46YWRtaW4="}, 401, id="other-scheme"),
        pytest.param({"Origin": "https://evil.example"}, 403, id="web-page"),
        pytest.param({"Sec-Fetch-Site": "cross-site"}, 403, id="cross-site"),
        pytest.param({"Host": "evil.example"}, 421, id="rebound-name"),
        pytest.param({"Host": "[::1]:15014"}, 200, id="address"),
        pytest.param({"Host": "localhost"}, 200, id="localhost"),
    ],
)
async def test_who_gets_in(api: Api, headers: dict[str, str], code: int) -> None:
    response = await api.send("GET", SERVICES, headers=headers)
    assert response.status == code
    assert (await response.json())["kind"] == ("VirtualServiceList" if code == 200 else "Status")
    assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/version"])
async def test_what_anyone_may_ask(api: Api, path: str) -> None:
    response = await api.client.get(path)
    assert response.status in {200, 503}


@pytest.mark.parametrize(
    "path", ["/metrics", "/apis", "/openapi/v3", "/artemon/v1/history", "/artemon/v1/proxies"]
)
async def test_what_nobody_unknown_may_ask(api: Api, path: str) -> None:
    assert (await api.client.get(path)).status == 401


def tokens_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "tokens"
    path.write_text(text)
    return path


def test_tokens_are_kept_hashed(tmp_path: Path) -> None:
    path = tokens_file(
        tmp_path, f'# comment\n{digest("secret")},ci,"system:masters,robots"\n{digest("r")},eve\n'
    )
    callers = read_tokens(path)
    assert Rights().is_admin(callers[digest("secret")])
    assert not Rights().why(callers[digest("r")], Ask("get", "virtualservices", namespace="shop"))
    assert "secret" not in path.read_text()


@pytest.mark.parametrize(
    "line", ["secret,ci,system:masters", "sha256:abc,ci", f"{digest('x')}", f"{digest('x')},"]
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(Refused, match="line 2: must be sha256:"):
        read_tokens(tokens_file(tmp_path, f"{digest('a')},b\n{line}\n"))


def test_the_admin_token_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "state" / "admin.token"
    token = admin_token(path)
    assert len(token) >= 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert admin_token(path) == token
    os.chmod(path, 0o644)
    with pytest.raises(ArtemonError, match="chmod 600"):
        admin_token(path)


@pytest.mark.parametrize(
    ("identity", "writes", "known"),
    [
        pytest.param(SpiffeId("cluster.local", "artemon-system", "admin"), True, True, id="operator"),
        pytest.param(SpiffeId("cluster.local", "artemon-system", "pilotd"), False, True, id="daemon"),
        pytest.param(SpiffeId("cluster.local", "bookinfo", "admin"), False, True, id="workload"),
        pytest.param(SpiffeId("other.domain", "artemon-system", "admin"), False, False, id="foreign"),
        pytest.param(None, False, False, id="none"),
    ],
)
def test_what_a_certificate_allows(identity: SpiffeId | None, writes: bool, known: bool) -> None:
    caller = certificate_caller(identity, "cluster.local")
    assert (caller is not None) is known
    assert bool(caller and Rights().is_admin(caller)) is writes
    assert bool(caller and Rights().why(caller, Ask("get", "gateways", namespace="bookinfo"))) is writes


@pytest.mark.parametrize(
    ("method", "path", "reader", "nobody"),
    [
        pytest.param("GET", "/apis", 200, 200, id="discovery"),
        pytest.param("GET", "/apis/networking.istio.io/v1", 200, 200, id="kinds"),
        pytest.param("GET", "/openapi/v3", 200, 200, id="openapi"),
        pytest.param("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", 201, 201, id="whoami"),
        pytest.param("GET", SERVICES, 200, 403, id="list"),
        pytest.param("GET", f"{SERVICES}/selfsubjectreviews", 404, 403, id="get"),
        pytest.param("GET", "/api/v1/namespaces", 200, 403, id="namespaces"),
        pytest.param("GET", "/artemon/v1/history", 200, 403, id="history"),
        pytest.param("GET", "/artemon/v1/mesh", 200, 403, id="mesh"),
        pytest.param("GET", "/artemon/v1/jointokens", 403, 403, id="join-tokens"),
        pytest.param("GET", "/metrics", 200, 403, id="metrics"),
        pytest.param("POST", SERVICES, 403, 403, id="create"),
        pytest.param("PUT", f"{SERVICES}/selfsubjectreviews", 403, 403, id="put-a-cunning-name"),
        pytest.param("DELETE", f"{SERVICES}/selfsubjectreviews", 403, 403, id="delete-a-cunning-name"),
        pytest.param("PUT", "/artemon/v1/mesh", 403, 403, id="set-mesh"),
        pytest.param("POST", "/artemon/v1/transactions", 403, 403, id="transaction"),
        pytest.param("POST", "/artemon/v1/jointokens", 403, 403, id="make-token"),
    ],
)
async def test_what_readers_and_others_may_do(
    api: Api, method: str, path: str, reader: int, nobody: int
) -> None:
    for groups, code in (((READERS,), reader), ((), nobody)):
        api.parts.tokens.replace({digest("t" * 32): Caller("someone", groups)})
        response = await api.send(method, path, headers={"Authorization": f"Bearer {'t' * 32}"})
        assert response.status == code, await response.text()


async def test_reviews_of_oneself(api: Api) -> None:
    who = await api.ask("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, code=201)
    assert who["status"]["userInfo"]["username"] == "admin"
    spec = {"resourceAttributes": {"verb": "create", "resource": "virtualservices"}}
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    assert (await api.ask("POST", path, {"spec": spec}, code=201))["status"]["allowed"] is True


async def test_verdicts_are_counted_under_istios_names(api: Api) -> None:
    await api.ask("POST", SERVICES, virtual_service(), code=201)
    await api.ask("POST", SERVICES, virtual_service("b", timeout="never"), code=422)
    text = await (await api.send("GET", "/metrics")).text()
    labels = 'group="networking.istio.io",resource="virtualservices",version="v1"'
    assert f"galley_validation_passed{{{labels}}} 1.0" in text
    assert 'galley_validation_failed{group="networking.istio.io",reason="Invalid"' in text
