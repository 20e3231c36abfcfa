"""How etcd lets us in: users and passwords, TLS and client certificates."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from authority import Authority
from conftest import Open, require_etcd
from observe import observing
from servers import Etcd, encoded

from artemon.errors import ArtemonError, StoreError, Unavailable, Unknown

pytestmark = pytest.mark.etcd


@pytest.fixture
def guarded(etcd: Etcd, tmp_path: Path) -> dict[str, object]:
    """Settings for a user that may use artemon/ alone."""
    for user in ("root", "artemon"):
        etcd.gateway("auth/user/add", {"name": user, "password": f"{user}-secret"})
        etcd.gateway("auth/role/add", {"name": user})
        etcd.gateway("auth/user/grant", {"user": user, "role": user})
    allowed = {"permType": "READWRITE", "key": encoded("artemon/"), "range_end": encoded("artemon0")}
    etcd.gateway("auth/role/grant", {"name": "artemon", "perm": allowed})
    etcd.gateway("auth/enable", {})
    (tmp_path / "password").write_text("artemon-secret\n")
    return {"user": "artemon", "password_file": tmp_path / "password"}


async def test_a_token_that_etcd_forgot_is_renewed(
    etcd: Etcd, guarded: dict[str, object], opened: Open
) -> None:
    store = await opened(etcd.url, **guarded)
    lease = await store.lease(20)
    await store.put("artemon/leased", b"", lease=lease.id)
    async with observing(store, "artemon/") as seen:
        for number in range(3):
            await store.put(f"artemon/{number}", b"")
            etcd.kill()
            etcd.start(wait=False)
            async with asyncio.timeout(20):
                while True:
                    try:
                        await store.put(f"artemon/{number}-after", b"")
                        break
                    except (Unavailable, Unknown):
                        await asyncio.sleep(0.1)
        await seen.until(lambda one: len(one.state) == 7, 20)
        assert seen.reasons == ["start"]


async def test_what_a_user_may_not_do_is_said(etcd: Etcd, guarded: dict[str, object], opened: Open) -> None:
    store = await opened(etcd.url, **guarded)
    with pytest.raises(StoreError, match="permission denied"):
        await store.put("elsewhere", b"")
    assert (await store.put("artemon/a", b"")).ok


async def test_without_the_right_password_there_is_no_store(
    etcd: Etcd, guarded: dict[str, object], opened: Open, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match="user"):
        await opened(etcd.url)
    (tmp_path / "password").write_text("wrong")
    with pytest.raises(StoreError, match="invalid user ID or password"):
        await opened(etcd.url, **guarded)


async def test_mutual_tls(tmp_path: Path, opened: Open) -> None:
    require_etcd()
    authority = Authority(tmp_path / "ca")
    server, client = authority.issue("server"), authority.issue("client")
    files = ("--client-cert-auth", "--trusted-ca-file", str(authority.file))
    etcd = Etcd(tmp_path / "etcd", tls=(*files, "--cert-file", server.cert, "--key-file", server.key))
    etcd.start()
    try:
        store = await opened(etcd.url, ca=authority.file, cert=client.cert, key=client.key)
        async with observing(store, "k") as seen:
            await store.put("k", b"1")
            await seen.until(lambda one: one.state == {"k": b"1"})
        stranger = Authority(tmp_path / "other").issue("client")
        for wrong in (
            {"ca": authority.file},
            {"ca": authority.file, "cert": stranger.cert, "key": stranger.key},
            {"ca": tmp_path / "other" / "ca.pem", "cert": client.cert, "key": client.key},
        ):
            outsider = await opened(etcd.url, **wrong, timeout=0.7)
            with pytest.raises(ArtemonError):
                await outsider.get("k")
    finally:
        etcd.kill()
