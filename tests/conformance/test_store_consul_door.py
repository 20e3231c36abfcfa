"""How Consul lets us in: TLS, client certificates, ACL tokens, and which rights are needed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from authority import Authority
from conftest import Open
from consul_door import MINIMAL, SecureCluster
from observe import observing, wait_set

from artemon.errors import ArtemonError, StoreError, Unavailable
from artemon.store.api import Delete, Put, Stale, Store

pytestmark = pytest.mark.consul


async def use_everything(store: Store) -> None:
    """All that the mesh does. Raises StoreError where a right is missing."""
    async with asyncio.timeout(20):
        await store.list("artemon/")
        lease = await store.lease(2)
        await store.txn([], [Put("artemon/a", b"1"), Put("artemon/b", b"2", lease.id)])
        await store.txn([], [Delete("artemon/a")])
        election = await store.elect("artemon/role", "one", 2)
        async with observing(store, "artemon/") as seen:
            await seen.until(lambda one: "artemon/role" in one.state)
        await wait_set(election.leading, 10)
        await store.txn([election.check()], [Put("artemon/c", b"")])
        await asyncio.sleep(1.0)
        assert not lease.lost.is_set()
        await election.resign()
        await lease.revoke()


async def test_the_documented_rights_are_enough(secure_consul: SecureCluster, opened: Open) -> None:
    token = secure_consul.token(MINIMAL)
    await use_everything(await opened(secure_consul.cluster.url, **secure_consul.settings(token, "minimal")))


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        pytest.param(
            'key_prefix "artemon/" { policy = "write" }', "[Pp]ermission denied|lacks", id="no-session"
        ),
        pytest.param(
            'key_prefix "artemon/" { policy = "read" }\nsession_prefix "" { policy = "write" }',
            "[Pp]ermission denied|lacks",
            id="read-only",
        ),
        pytest.param('session_prefix "" { policy = "write" }', "may not read", id="no-keys"),
        pytest.param(
            'key_prefix "artemon/a" { policy = "write" }\nsession_prefix "" { policy = "write" }',
            "may not read|[Pp]ermission denied",
            id="some-keys",
        ),
    ],
)
async def test_less_does_not_work_and_says_what_is_missing(
    secure_consul: SecureCluster, opened: Open, rules: str, words: str
) -> None:
    admin = await opened(
        secure_consul.cluster.url, **secure_consul.settings(secure_consul.management, "root")
    )
    await admin.put("artemon/there", b"")
    token = secure_consul.token(rules)
    store = await opened(secure_consul.cluster.url, **secure_consul.settings(token, "less"))
    with pytest.raises(StoreError, match=words):
        await use_everything(store)


async def test_what_may_not_be_read_is_not_called_empty(secure_consul: SecureCluster, opened: Open) -> None:
    """Consul answers a list without the right with 404, as if there were nothing; without any token it does
    not even say that something was left out."""
    admin = await opened(
        secure_consul.cluster.url, **secure_consul.settings(secure_consul.management, "root")
    )
    await admin.put("artemon/there", b"")
    blind = await opened(
        secure_consul.cluster.url,
        **secure_consul.settings(secure_consul.token('session_prefix "" { policy = "write" }'), "blind"),
    )
    files = secure_consul.settings("", "none")
    del files["token_file"]
    nobody = await opened(secure_consul.cluster.url, **files)
    for store in (blind, nobody):
        with pytest.raises(StoreError, match=r"may not read|[Pp]ermission denied"):
            await store.list("artemon/")


async def test_a_token_is_exchanged_without_restart(secure_consul: SecureCluster, opened: Open) -> None:
    first, second = secure_consul.token(MINIMAL), secure_consul.token(MINIMAL)
    settings = secure_consul.settings(first, "rotating")
    store = await opened(secure_consul.cluster.url, **settings, bookmark=1)
    lease = await store.lease(4)
    await store.put("artemon/leased", b"", lease=lease.id)
    async with observing(store, "artemon/") as seen:
        Path(settings["token_file"]).write_text(second)
        await asyncio.to_thread(secure_consul.revoke, first)
        for number in range(10):
            await store.put(f"artemon/{number}", b"")
            await asyncio.sleep(0.3)
        await seen.until(lambda one: "artemon/9" in one.state)
        assert seen.reasons == ["start"]
        assert not lease.lost.is_set()
    await lease.revoke()


async def test_a_token_that_is_revoked_freezes_the_view(secure_consul: SecureCluster, opened: Open) -> None:
    token = secure_consul.token(MINIMAL)
    settings = secure_consul.settings(token, "revoked")
    store = await opened(secure_consul.cluster.url, **settings, bookmark=0.5, stale_after=2)
    await store.put("artemon/k", b"")
    async with observing(store, "artemon/k") as seen:
        await asyncio.to_thread(secure_consul.revoke, token)
        await seen.until(lambda one: isinstance(one.items[-1], Stale), 20)
        assert seen.state == {"artemon/k": b""}
        with pytest.raises(StoreError, match=r"ACL not found|[Pp]ermission denied"):
            await store.put("artemon/k2", b"")
        Path(settings["token_file"]).write_text(secure_consul.token(MINIMAL))
        await asyncio.sleep(1.1)
        await store.put("artemon/k3", b"")
        await seen.until(lambda one: "artemon/k3" in one.state)


async def test_a_wrong_authority_or_certificate_is_named(
    secure_consul: SecureCluster, opened: Open, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "other")
    stranger, good = other.issue("client"), secure_consul.settings(secure_consul.management, "root")
    store = await opened(secure_consul.cluster.url, **(good | {"ca": other.file}), timeout=1)
    with pytest.raises(Unavailable, match="certificate is not trusted"):
        await store.get("artemon/k")
    for wrong in ({"cert": stranger.cert, "key": stranger.key}, {"cert": None, "key": None}):
        store = await opened(secure_consul.cluster.url, **(good | wrong), timeout=1)
        with pytest.raises(ArtemonError):
            await store.get("artemon/k")


@pytest.mark.parametrize(
    ("url", "settings", "words"),
    [
        pytest.param("consul+http://10.0.0.1:8500", {}, "plaintext to another machine", id="plaintext"),
        pytest.param("consul://127.0.0.1/path", {}, "nothing after it", id="path"),
        pytest.param("consul+ftp://127.0.0.1", {}, "unknown scheme", id="scheme"),
        pytest.param("consul+http://127.0.0.1", {"ca": "/x"}, "the scheme is without TLS", id="ca-unused"),
        pytest.param("consul://10.0.0.1", {"cert": "/x"}, "cert and key must be given together", id="no-key"),
        pytest.param("consul://10.0.0.1", {"ca": "/none"}, "/none cannot be read", id="no-ca"),
        pytest.param("consul://127.0.0.1", {"token_file": "/none"}, "/none cannot be read", id="no-token"),
        pytest.param("consul://127.0.0.1", {"tiemout": 3}, "tiemout: is not a setting", id="unknown-setting"),
    ],
)
async def test_wrong_addresses_and_settings_are_refused(
    opened: Open, url: str, settings: dict[str, object], words: str
) -> None:
    with pytest.raises(ArtemonError, match=words):
        await opened(url, **settings)
