"""An OpenID Connect issuer over real TLS: found by discovery, trusted by one's own roots alone."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from galley_api import SERVICES, Api, bind, binding, virtual_service
from gateway_certificates import Certificates

from artemon.log import Log
from artemon.model.access import EDITOR
from galleyd import entrance
from galleyd.settings import GalleySettings

KEY = ec.generate_private_key(ec.SECP256R1())
Answer = Callable[[str], dict[str, Any] | web.Response]


def keys() -> dict[str, Any]:
    return {"keys": [{**jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True), "kid": "a"}]}


@asynccontextmanager
async def issuer(
    folder: Path, certificates: Certificates, answer: Answer, host: str = "localhost", **issued: timedelta
) -> AsyncIterator[str]:
    """Serves with a certificate for `host`; `answer` makes of the issuer's URL what its discovery says."""
    chain, key = certificates.issue(host, **issued).save(folder / "issuer")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(chain, key)

    async def discovery(request: web.Request) -> web.Response:
        found = answer(f"https://localhost:{request.url.port}")
        return found if isinstance(found, web.Response) else web.json_response(found)

    async def jwks(_: web.Request) -> web.Response:
        return web.json_response(keys())

    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", discovery)
    app.router.add_get("/keys", jwks)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        yield f"https://localhost:{site._server.sockets[0].getsockname()[1]}"
    finally:
        await runner.cleanup()


def good(url: str) -> dict[str, Any]:
    return {"issuer": url, "jwks_uri": f"{url}/keys"}


def bearer(url: str, **claims: Any) -> dict[str, str]:
    whole = {
        "iss": url,
        "aud": "galleyd",
        "sub": "ann",
        "groups": ["ops"],
        "exp": time.time() + 300,
        **claims,
    }
    return {"Authorization": "Bearer " + jwt.encode(whole, KEY, algorithm="ES256", headers={"kid": "a"})}


def believe(api: Api, folder: Path, url: str, roots: bytes, **more: Any) -> None:
    (folder / "roots.pem").write_bytes(roots)
    found = {"oidc_issuer": url, "oidc_audiences": ("galleyd",), "oidc_ca": str(folder / "roots.pem"), **more}
    settings = GalleySettings.model_validate({"state_dir": str(folder), **found})
    object.__setattr__(api.parts.gate, "oidc", entrance.oidc(settings, Log("test")))


async def test_a_group_of_the_issuer_has_its_role_and_no_more(api: Api, tmp_path: Path) -> None:
    certificates = Certificates()
    await bind(api, binding(EDITOR, subject={"kind": "Group", "name": "oidc:ops"}))
    async with issuer(tmp_path, certificates, good) as url:
        believe(api, tmp_path, url, certificates.roots)
        await api.ask("POST", SERVICES, virtual_service(), code=201, headers=bearer(url))
        await api.ask("GET", SERVICES, code=403, headers=bearer(url, groups=["others"]))
        await api.ask("GET", SERVICES.replace("shop", "bank"), code=403, headers=bearer(url))
        await api.ask("GET", SERVICES, code=401, headers=bearer(url, aud="others"))


BAD: dict[str, tuple[Answer, dict[str, Any]]] = {
    "another issuer": (lambda url: {**good(url), "issuer": "https://evil.example"}, {}),
    "a longer issuer": (lambda url: {**good(url), "issuer": f"{url}/"}, {}),
    "keys in the clear": (lambda url: {**good(url), "jwks_uri": f"{url}/keys".replace("https", "http")}, {}),
    "keys in a file": (lambda url: {**good(url), "jwks_uri": "file:///etc/hostname"}, {}),
    "no keys": (lambda url: {"issuer": url}, {}),
    "a redirect": (lambda url: web.Response(status=302, headers={"location": f"{url}/keys"}), {}),
    "no JSON": (lambda _: web.Response(text="x"), {}),
    "another host": (good, {"host": "other.example"}),
    "an expired certificate": (good, {"ends": timedelta(minutes=-1)}),
}


@pytest.mark.parametrize("name", BAD)
async def test_what_is_not_the_issuer_makes_nobody(api: Api, tmp_path: Path, name: str) -> None:
    certificates = Certificates()
    answer, more = BAD[name]
    async with issuer(tmp_path, certificates, answer, **more) as url:
        believe(api, tmp_path, url, certificates.roots)
        refused = await api.ask("GET", SERVICES, code=401, headers=bearer(url))
    assert "keys of the token's issuer are not known" in json.dumps(refused)


async def test_roots_of_others_vouch_for_nobody(api: Api, tmp_path: Path) -> None:
    async with issuer(tmp_path, Certificates(), good) as url:
        believe(api, tmp_path, url, Certificates("Other").roots)
        await api.ask("GET", SERVICES, code=401, headers=bearer(url))


@pytest.mark.parametrize("verified", [False, "false", "true", 0, 1, None, []])
async def test_t13_an_email_that_is_not_verified_is_no_name(api: Api, tmp_path: Path, verified: Any) -> None:
    certificates = Certificates()
    async with issuer(tmp_path, certificates, good) as url:
        believe(api, tmp_path, url, certificates.roots, oidc_user_claim="email")
        mail = {"email": "ann@example.com"}
        await api.ask("GET", SERVICES, code=401, headers=bearer(url, **mail, email_verified=verified))
        await api.ask("GET", SERVICES, code=403, headers=bearer(url, **mail, email_verified=True))
