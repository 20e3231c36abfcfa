"""How etcd lets us in: users and passwords, TLS and client certificates."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from authority import Authority
from conftest import Open, require_etcd
from etcd_relay import Change, changing_relay
from observe import observing
from servers import Etcd, encoded, guard

from artemon.api.v1 import etcd_pb2 as pb
from artemon.errors import ArtemonError, StoreError, Unavailable, Unknown

pytestmark = pytest.mark.etcd


@pytest.fixture
def guarded(etcd: Etcd, tmp_path: Path) -> dict[str, object]:
    """Settings for a user that may use artemon/ alone."""
    allowed = {"permType": "READWRITE", "key": encoded("artemon/"), "range_end": encoded("artemon0")}
    guard(etcd.gateway, lambda user: {"password": f"{user}-secret"}, allowed)
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


def telling(version: str) -> Callable[[], Change]:
    """A relay's change: etcd says that it is of this version."""

    def changed(method: str, answer: bytes) -> list[bytes]:
        if method != "Status":
            return [answer]
        told = pb.StatusResponse.FromString(answer)
        told.version = version
        return [told.SerializeToString()]

    return lambda: changed


async def test_a_release_that_loses_data_is_refused(etcd: Etcd, opened: Open) -> None:
    async with changing_relay(etcd.port, telling("3.5.1")) as port:
        with pytest.raises(StoreError, match=r"etcd 3\.5\.1 can lose data; upgrade to 3\.5\.3 or newer"):
            await opened(f"etcd://127.0.0.1:{port}")


async def test_a_member_that_loses_data_is_passed_over(etcd: Etcd, opened: Open) -> None:
    """As in the middle of an upgrade: another member may be used."""
    async with changing_relay(etcd.port, telling("3.5.0")) as port:
        store = await opened(f"etcd://127.0.0.1:{port},127.0.0.1:{etcd.port}")
        await store.put("k", b"")
        assert await store.get("k") is not None
        await store.close()


@pytest.mark.parametrize(
    ("version", "advice"),
    [
        pytest.param("3.4.41", "upgrade to 3.4.42 or newer", id="3.4"),
        pytest.param("3.5.27", "upgrade to 3.5.28 or newer", id="3.5"),
        pytest.param("3.6.8", "upgrade to 3.6.9 or newer", id="3.6"),
        pytest.param("3.3.27", "upgrade to 3.5", id="before-3.4"),
        pytest.param("3.4.42", "", id="new-enough"),
        pytest.param("3.7.0", "", id="newer-than-known"),
    ],
)
async def test_an_old_release_is_warned_of(
    etcd: Etcd, opened: Open, caplog: pytest.LogCaptureFixture, version: str, advice: str
) -> None:
    async with changing_relay(etcd.port, telling(version)) as port:
        store = await opened(f"etcd://127.0.0.1:{port}")
        await store.put("k", b"")
        await store.close()
    warned = [one for one in caplog.records if one.message == "etcd_is_old"]
    assert [vars(one)["artemon"]["advice"] for one in warned] == ([advice] if advice else [])
