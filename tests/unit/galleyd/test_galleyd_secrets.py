"""Secrets through the API: written in clear, kept encrypted, never shown."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from galley_api import Api, virtual_service
from gateway_certificates import Certificates, pem_chain

from artemon.daemon.secrets_key import make_key_file, vault_of
from galleyd.callers import READERS, Caller, digest
from galleyd.stager import MAX_DIRECT
from galleyd.writer import MAX_OBJECTS

SECRETS = "/api/v1/namespaces/shop/secrets"
CERTIFICATES = Certificates()
WEB = CERTIFICATES.issue("web.example.com")
OTHER = CERTIFICATES.issue("other.example.com")


def secret(name: str = "web", *, kind: str = "kubernetes.io/tls", **data: bytes | str) -> dict[str, Any]:
    written = data or {"tls_crt": WEB.chain, "tls_key": WEB.key}
    encoded = {
        key.replace("_", "."): base64.b64encode(v.encode() if isinstance(v, str) else v).decode()
        for key, v in written.items()
    }
    meta = {"name": name, "namespace": "shop"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": kind, "data": encoded}


@pytest.fixture
def keyed(api: Api, tmp_path: Path) -> Api:
    make_key_file(tmp_path / "keys")
    return api


async def values(api: Api) -> bytes:
    """Everything that lies in the registry."""
    return b"\n".join(entry.value for entry in (await api.store.list("artemon/")).entries)


async def test_nothing_readable_lies_in_the_registry_or_comes_back(keyed: Api) -> None:
    made = await keyed.ask("POST", SECRETS, secret(), code=201)
    again = await keyed.ask("GET", f"{SECRETS}/web", code=200)
    listed = await keyed.ask("GET", SECRETS, code=200)
    history = await keyed.ask("GET", "/artemon/v1/history", code=200)
    told = json.dumps([made, again, listed, history])
    stored = await values(keyed)
    for canary in (WEB.key, WEB.chain, base64.b64encode(WEB.key), WEB.key.splitlines()[1]):
        assert canary not in stored
        assert canary.decode() not in told
    assert again["metadata"]["annotations"] == {"artemon.io/keys": "tls.crt,tls.key"}
    assert "data" not in again
    assert "sealed" not in told
    assert b'"sealed":{"key"' in stored
    assert history["items"][0]["changes"][0]["name"] == "web"


async def test_a_secret_is_replaced_relabelled_and_deleted(keyed: Api) -> None:
    await keyed.ask("POST", SECRETS, secret(), code=201)
    merge = {"headers": {"Content-Type": "application/merge-patch+json"}}
    labelled = await keyed.ask(
        "PATCH", f"{SECRETS}/web", {"metadata": {"labels": {"a": "b"}}}, code=200, **merge
    )
    assert (labelled["metadata"]["generation"], labelled["metadata"]["labels"]) == (1, {"a": "b"})
    same = {"objects": [{**secret(), "metadata": {"name": "web", "namespace": "shop", "labels": {"a": "b"}}}]}
    answer = await keyed.ask("POST", "/artemon/v1/transactions", same, code=200)
    assert answer["results"][0]["result"] == "unchanged"
    fresh = {"objects": [secret(tls_crt=OTHER.chain, tls_key=OTHER.key)]}
    answer = await keyed.ask("POST", "/artemon/v1/transactions", fresh, code=200)
    assert answer["results"][0]["result"] == "configured"
    assert (await keyed.ask("GET", f"{SECRETS}/web"))["metadata"]["generation"] == 2
    await keyed.ask("DELETE", f"{SECRETS}/web", code=200)
    await keyed.ask("GET", f"{SECRETS}/web", code=404)


@pytest.mark.parametrize(
    ("body", "path", "reason"),
    [
        pytest.param(
            secret(tls_crt=WEB.chain, tls_key=OTHER.key), 'data["tls.key"]', "is not the key", id="pair"
        ),
        pytest.param(secret(tls_crt=WEB.chain), 'data["tls.key"]', "is required", id="no-key"),
        pytest.param(secret(tls_crt="hello", tls_key=WEB.key), 'data["tls.crt"]', "in PEM", id="no-pem"),
        pytest.param(
            secret(tls_crt=pem_chain(WEB.issuers + WEB.own), tls_key=WEB.key),
            'data["tls.key"]', "put that one first", id="upside-down",
        ),
        pytest.param(
            secret(tls_crt=pem_chain(WEB.own + OTHER.own), tls_key=WEB.key),
            'data["tls.crt"]', "did not issue", id="not-a-chain",
        ),
        pytest.param(secret(kind="Opaque", other="x"), "data", "must hold tls.crt and tls.key", id="empty"),
        pytest.param(secret(kind="kubernetes.io/ssh-auth"), "type", "must be kubernetes.io/tls", id="type"),
        pytest.param({**secret(), "data": {"tls.key": "%%"}}, 'data["tls.key"]', "base64", id="base64"),
        pytest.param(secret(kind="Opaque", cacert="x"), 'data.cacert', "in PEM", id="roots"),
        pytest.param({**secret(), "data": None}, "data", "is required", id="none"),
    ],
)  # fmt: skip
async def test_what_no_gateway_could_use_is_refused(keyed: Api, body: Any, path: str, reason: str) -> None:
    answer = await keyed.ask("POST", SECRETS, body, code=422)
    causes = {cause["field"]: cause["message"] for cause in answer["details"]["causes"]}
    assert reason in causes[path], answer
    assert (await keyed.store.list("artemon/default/secrets/")).entries == ()


async def test_an_expired_certificate_is_warned_of(keyed: Api) -> None:
    old = CERTIFICATES.issue("old.example.com", ends=-timedelta(hours=1))
    response = await keyed.send("POST", SECRETS, secret(tls_crt=old.chain, tls_key=old.key))
    assert response.status == 201
    assert "certificate 1 expired at" in response.headers["Warning"]


async def test_what_kubectl_copies_into_annotations_is_dropped(keyed: Api) -> None:
    copied = json.dumps(secret())
    body = secret()
    body["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": copied}
    await keyed.ask("POST", SECRETS, body, code=201)
    assert body["data"]["tls.key"].encode() not in await values(keyed)


async def test_without_a_key_secrets_are_refused(api: Api) -> None:
    answer = await api.ask("POST", SECRETS, secret(), code=422)
    assert "there is no key for Secrets" in answer["message"]


async def test_readers_do_not_learn_of_secrets(keyed: Api) -> None:
    await keyed.ask("POST", SECRETS, secret(), code=201)
    keyed.parts.tokens.replace({digest("t" * 32): Caller("reader", (READERS,))})
    keyed.headers = {"Authorization": f"Bearer {'t' * 32}"}
    for path in (SECRETS, f"{SECRETS}/web", "/api/v1/secrets"):
        assert (await keyed.ask("GET", path, code=403))["reason"] == "Forbidden"


def test_keys_rotate_and_values_stay_where_they_are(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    make_key_file(keys)
    vault = vault_of("default", str(keys))
    place = {"namespace": "shop", "name": "web", "generation": 1}
    old = vault.seal({"tls.key": b"value"}, **place)
    before = keys.read_text()
    keys.unlink()
    make_key_file(keys)
    keys.write_text(keys.read_text() + before)
    new = vault.seal({"tls.key": b"value"}, **place)
    assert old["key"] != new["key"]
    assert vault.open(old, **place) == vault.open(new, **place) == {"tls.key": b"value"}
    for elsewhere in ({"namespace": "x"}, {"name": "x"}, {"generation": 2}):
        with pytest.raises(Exception, match="moved from another place"):
            vault.open(old, **{**place, **elsewhere})
    with pytest.raises(Exception, match="moved from another place"):
        vault_of("other", str(keys)).open(old, **place)


@pytest.mark.parametrize(
    "content", [b"", b"k8s\x00", b"k8s\x00\x12\x03\x0a\xff\xff", b"k8s\x00\x12\x04\x12\x02\x0a\x09"]
)
async def test_broken_protobuf_is_refused(keyed: Api, content: bytes) -> None:
    headers = {**keyed.headers, "Content-Type": "application/vnd.kubernetes.protobuf"}
    response = await keyed.client.post(SECRETS, data=content, headers=headers)
    assert response.status in {400, 422}, await response.text()


async def test_more_secrets_than_fit_beside_a_large_write_are_refused(keyed: Api) -> None:
    path = "/artemon/v1/transactions"
    secrets = [secret(f"s{number}") for number in range(MAX_DIRECT + 1)]
    services = [virtual_service(f"v{number}") for number in range(MAX_OBJECTS)]
    refusal = await keyed.ask("POST", path, {"objects": [*services, *secrets]}, code=422)
    assert f"{MAX_DIRECT + 1} Secrets and namespaces; at most {MAX_DIRECT}" in refusal["message"]
    assert (await keyed.ask("GET", SECRETS))["items"] == []
    done = await keyed.ask("POST", path, {"objects": [*services, *secrets[1:]]}, code=200)
    listed = (await keyed.ask("GET", SECRETS))["items"]
    assert {item["metadata"]["resourceVersion"] for item in listed} == {str(done["revision"])}
