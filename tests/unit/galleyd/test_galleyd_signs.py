"""T33 from galleyd's side: what it writes is signed, what others wrote grants nothing and is mended."""

from __future__ import annotations

import json

from galley_api import SERVICES, Api, become, bind, binding, virtual_service

from artemon.model.access import EDITOR, MESH_ADMIN
from artemon.pki.signing import split

KEY = "artemon/default/config/virtualservices/shop/reviews"


async def signature_of(api: Api, key: str = KEY) -> str:
    entry = await api.store.get(key)
    assert entry is not None
    assert "signature" in json.loads(entry.value)
    found = split(entry.value)[1]
    return found.key if found else ""


async def test_what_is_written_is_signed_and_shown_without(api: Api) -> None:
    made = await api.ask("POST", SERVICES, virtual_service(), code=201)
    assert await signature_of(api) == api.parts.authenticity.signer.key
    listed = (await api.ask("GET", SERVICES))["items"]
    for obj in (made, await api.ask("GET", f"{SERVICES}/reviews"), *listed):
        assert "signature" not in obj
    assert "signature" not in json.dumps(await api.ask("GET", "/artemon/v1/history"))
    await api.ask("PUT", "/artemon/v1/mesh", {}, code=200)
    await api.ask("PUT", "/artemon/v1/mesh", {"rootNamespace": "istio-system"}, code=200)
    assert await signature_of(api, "artemon/default/mesh") == api.parts.authenticity.signer.key
    assert await api.ask("GET", "/artemon/v1/mesh") == {"rootNamespace": "istio-system"}


async def test_t33_a_binding_written_by_others_grants_nothing(api: Api) -> None:
    headers = become(api)
    forged = json.dumps(binding(MESH_ADMIN, "artemon-system")).encode()
    put = await api.store.put("artemon/default/config/rolebindings/artemon-system/mesh-admin", forged)
    await api.seen(put.position.revision)
    await api.ask("GET", SERVICES, code=403, headers=headers)
    await bind(api, binding(EDITOR))
    key = "artemon/default/config/rolebindings/shop/editor"
    entry = await api.store.get(key)
    assert entry is not None
    put = await api.store.put(key, entry.value.replace(b'"ann"', b'"eve"'))
    await api.seen(put.position.revision)
    await api.ask("GET", SERVICES, code=403, headers=headers)


async def test_t33_an_older_binding_does_not_come_back(api: Api) -> None:
    await bind(api, binding(EDITOR))
    key = "artemon/default/config/rolebindings/shop/editor"
    old = await api.store.get(key)
    assert old is not None
    path = "/apis/access.artemon.io/v1/namespaces/shop/rolebindings/editor"
    patch = {"spec": {"subjects": [{"kind": "User", "name": "bob"}]}}
    media = {"Content-Type": "application/merge-patch+json"}
    made = await api.ask("PATCH", path, patch, code=200, headers=media)
    await api.seen(int(made["metadata"]["resourceVersion"]))
    headers = become(api)
    await api.ask("GET", SERVICES, code=403, headers=headers)
    put = await api.store.put(key, old.value)
    await api.seen(put.position.revision)
    await api.ask("GET", SERVICES, code=403, headers=headers)


async def test_applying_again_mends_what_others_wrote(api: Api) -> None:
    await api.ask("POST", SERVICES, virtual_service(), code=201)
    entry = await api.store.get(KEY)
    assert entry is not None
    await api.store.put(KEY, split(entry.value)[0])
    again = {"objects": [virtual_service()]}
    answer = await api.ask("POST", "/artemon/v1/transactions", again, code=200)
    assert answer["results"][0]["result"] == "configured"
    assert await signature_of(api) == api.parts.authenticity.signer.key
    answer = await api.ask("POST", "/artemon/v1/transactions", again, code=200)
    assert answer["results"][0]["result"] == "unchanged"


async def test_the_key_is_changed_on_request(api: Api) -> None:
    await api.ask("POST", SERVICES, virtual_service(), code=201)
    old = await api.ask("GET", "/artemon/v1/signingkey", code=200)
    new = await api.ask("POST", "/artemon/v1/signingkey", {}, code=200)
    assert new["old"] == old["key"] != new["key"]
    signer = api.parts.authenticity.signer
    for _ in range(100):
        if "old" not in signer.shown():
            break
        await api.parts.config.moved(0.1)
    assert signer.shown() == {"key": new["key"]}
    assert await signature_of(api) == new["key"]
    assert (await api.ask("GET", f"{SERVICES}/reviews"))["metadata"]["generation"] == 1
