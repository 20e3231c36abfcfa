"""Tokens of an OpenID Connect issuer, and certificates of one's own CA: users and groups for RoleBindings."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from galley_api import SERVICES, Api, bind, binding, virtual_service

from artemon.daemon import jwks
from artemon.daemon.jwks import Jwks, Place
from artemon.log import Log
from artemon.model.access import EDITOR
from artemon.pki.jwt import JwtRefused
from galleyd import entrance
from galleyd.callers import ADMINS, subject_caller
from galleyd.settings import GalleySettings

KEY = ec.generate_private_key(ec.SECP256R1())
ISSUER = "https://issuer.example"


def publish(path: Path, key: ec.EllipticCurvePrivateKey = KEY, kid: str = "a") -> None:
    fields = {**jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid}
    path.write_text(json.dumps({"keys": [fields]}))


def token(key: ec.EllipticCurvePrivateKey = KEY, kid: str = "a", **claims: Any) -> str:
    whole = {"iss": ISSUER, "aud": "galleyd", "sub": "ann", "exp": time.time() + 300, **claims}
    return jwt.encode(whole, key, algorithm="ES256", headers={"kid": kid})


@pytest.fixture
def settings(api: Api, tmp_path: Path) -> GalleySettings:
    publish(tmp_path / "jwks")
    found = {"oidc_issuer": ISSUER, "oidc_audiences": ("galleyd",), "oidc_jwks": str(tmp_path / "jwks")}
    return GalleySettings.model_validate({"state_dir": str(tmp_path), **found})


@pytest.fixture
async def oidc(api: Api, settings: GalleySettings) -> Api:
    """The API, which also takes tokens of an issuer."""
    api.parts.tokens.replace({})
    gate = api.parts.gate
    object.__setattr__(gate, "oidc", entrance.oidc(settings, Log("test")))
    gate.tokens.replace(entrance.known(settings))
    return api


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


async def test_a_group_of_the_issuer_has_its_role(oidc: Api) -> None:
    await bind(oidc, binding(EDITOR, subject={"kind": "Group", "name": "oidc:ops"}))
    headers = bearer(token(groups=["dev", "ops"]))
    await oidc.ask("POST", SERVICES, virtual_service(), code=201, headers=headers)
    await oidc.ask("GET", SERVICES, code=403, headers=bearer(token(groups=["dev"])))
    who = await oidc.ask("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, headers=headers)
    assert who["status"]["userInfo"] == {
        "username": "oidc:ann",
        "groups": ["oidc:dev", "oidc:ops", "system:authenticated"],
    }
    history = (await oidc.ask("GET", "/artemon/v1/history?limit=1"))["items"][0]
    assert history["who"] == "oidc:ann"


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"groups": [ADMINS]}, id="group"),
        pytest.param({"groups": ADMINS}, id="text"),
        pytest.param({"sub": "admin", "groups": [["system:masters"], {"a": 1}, None]}, id="nested"),
    ],
)
async def test_t13_no_claim_makes_an_administrator(oidc: Api, claims: dict[str, Any]) -> None:
    await oidc.ask("GET", SERVICES, code=403, headers=bearer(token(**claims)))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param(token(exp=time.time() - 60), "has expired", id="expired"),
        pytest.param(token(aud="other"), "another audience", id="audience"),
        pytest.param(token(iss="https://evil.example"), "another issuer", id="issuer"),
        pytest.param(token(ec.generate_private_key(ec.SECP256R1())), "signature is wrong", id="key"),
        pytest.param("a.b.c", "cannot be read", id="nonsense"),
    ],
)
async def test_t13_other_tokens_are_401(oidc: Api, text: str, why: str) -> None:
    refused = await oidc.ask("GET", SERVICES, code=401, headers=bearer(text))
    assert why in refused["message"]
    assert text not in json.dumps(refused)


async def test_t14_keys_change_and_the_last_good_ones_end(tmp_path: Path) -> None:
    clock = [0.0]
    place = tmp_path / "jwks"
    publish(place)
    found = Jwks(Place(ISSUER, str(place)), Log("test"), now=lambda: clock[0])
    assert [key.kid for key in await found.keys(wanted="a")] == ["a"]
    publish(place, kid="b")
    assert [key.kid for key in await found.keys(wanted="b")] == ["a"], "not asked for again at once"
    clock[0] += jwks.PAUSE
    assert [key.kid for key in await found.keys(wanted="b")] == ["b"]
    place.write_text("{}")
    clock[0] += jwks.KEPT
    assert [key.kid for key in await found.keys(wanted="c")] == ["b"], "the last good ones for a while"
    clock[0] += 1
    with pytest.raises(JwtRefused, match="not known at the moment"):
        await found.keys(wanted="b")


@pytest.mark.parametrize("where", ["http://127.0.0.1:1/k", "ftp://x/y", "https://127.0.0.1:1/k", "/no/such"])
async def test_t14_without_keys_nobody_gets_in(where: str) -> None:
    found = Jwks(Place(ISSUER, where), Log("test"))
    with pytest.raises(JwtRefused):
        await found.keys()


@pytest.mark.parametrize(
    ("certificate", "name", "groups"),
    [
        pytest.param(
            {"subject": [(("commonName", "ann"),), (("organizationName", "ops"),)]},
            "ann",
            ("ops",),
            id="user",
        ),
        pytest.param(
            {"subject": [(("commonName", "ann"),), (("organizationName", ADMINS),)]},
            "ann",
            (),
            id="reserved-group",
        ),
        pytest.param({"subject": [(("commonName", "system:admin"),)]}, None, (), id="reserved-name"),
        pytest.param(
            {"subject": [(("commonName", "spiffe://cluster.local/ns/a/sa/b"),)]}, None, (), id="spiffe-name"
        ),
        pytest.param({"subject": [(("commonName", "a"),), (("commonName", "b"),)]}, None, (), id="two-names"),
        pytest.param(
            {"subject": [(("commonName", "ann"),)], "subjectAltName": (("URI", "spiffe://x/y"),)},
            None,
            (),
            id="of-a-mesh",
        ),
        pytest.param({}, None, (), id="none"),
    ],
)
def test_subjects_of_ones_own_ca(
    certificate: dict[str, Any], name: str | None, groups: tuple[str, ...]
) -> None:
    caller = subject_caller(certificate)
    assert (caller.name if caller else None) == name
    if caller:
        assert caller.groups == (*groups, "system:authenticated")
