"""Having an identity: from disk, by joining, by renewing; and never from the wrong server."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from aiohttp import ClientError, ClientSession, TCPConnector, web
from citadel_rig import CART, LOG, Rig, running, settings_in
from servers import free_ports

from artemon.daemon.files import InsecureFile
from artemon.daemon.identity import IdentityKeeper, IdentityOptions
from artemon.daemon.identity_client import CitadelRefused, pinned_roots
from artemon.daemon.identity_files import Identity, load_identity, make_identity, save_identity
from artemon.daemon.identity_tls import (
    channel_options,
    grpc_channel_credentials,
    grpc_server_credentials,
    peer_spiffe_id,
    ssl_client_context,
    ssl_server_context,
    tls_peer_spiffe_id,
)
from artemon.errors import ArtemonError
from artemon.pki.certificate import fingerprint, load_certificates
from artemon.pki.errors import CertificateRefused
from artemon.pki.keys import generate_key, private_pem
from artemon.pki.spiffe import SpiffeId

PILOTD = SpiffeId("cluster.local", "artemon-system", "pilotd")


def at(hours: float) -> datetime:
    return datetime.now(UTC) + timedelta(hours=hours)


async def test_joins_and_is_found_on_disk_again(rig: Rig, tmp_path: Path) -> None:
    first = (await rig.joined(tmp_path)).current()
    nowhere = IdentityOptions(tmp_path / "identity", CART, ("127.0.0.1:1",))
    keeper = IdentityKeeper(nowhere, LOG)
    await keeper.start()  # asks nobody
    assert keeper.current() == first
    assert (tmp_path / "identity" / "key.pem").stat().st_mode & 0o777 == 0o600


async def test_joins_by_fingerprint(rig: Rig, tmp_path: Path) -> None:
    pin = fingerprint(load_certificates(rig.root.read_bytes())[0])
    token = await rig.token_file(tmp_path / "token")
    keeper = IdentityKeeper(rig.options(tmp_path, ca_pin=pin, join_token_file=str(token)), LOG)
    await keeper.start()
    assert keeper.current().roots_pem == rig.root.read_bytes()


@pytest.mark.parametrize("pin", ["file", "0" * 64, "sha256:" + "f" * 64, "/does/not/exist", ""])
async def test_foreign_server_gets_no_token(rig: Rig, tmp_path: Path, pin: str) -> None:
    (tmp_path / "other").mkdir()
    async with running(settings_in(tmp_path / "other")) as stranger:
        token = await stranger.token_file(tmp_path / "token")
        wanted = str(rig.root) if pin == "file" else pin
        options = stranger.options(tmp_path, ca_pin=wanted, join_token_file=str(token))
        with pytest.raises(ArtemonError, match=r"pin|no token was sent"):
            await IdentityKeeper(options, LOG).start()
        assert stranger.count("csr") == 0


async def test_pilotd_is_not_citadeld(rig: Rig, tmp_path: Path) -> None:
    """A compromised daemon of the mesh cannot take join tokens by sitting at citadeld's address."""
    impostor = await rig.joined(tmp_path / "impostor", PILOTD)
    context = ssl_server_context(impostor.current, client=ssl.CERT_NONE)
    token = await rig.token_file(tmp_path / "token")
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=context)
    async with server:
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        options = rig.options(tmp_path, join_token_file=str(token), citadeld_join=(address,))
        with pytest.raises(CitadelRefused):
            await IdentityKeeper(options, LOG).start()


async def test_fails_over_to_the_next_address(rig: Rig, tmp_path: Path) -> None:
    dead = f"127.0.0.1:{free_ports(1)[0]}"
    token = await rig.token_file(tmp_path / "token")
    addresses = (dead, rig.settings.join_address)
    options = rig.options(tmp_path, join_token_file=str(token), citadeld_join=addresses)
    keeper = IdentityKeeper(options, LOG)
    await keeper.start()
    assert keeper.current().spiffe_id == CART


async def test_waits_for_a_citadeld_that_comes_later(tmp_path: Path) -> None:
    async with running(settings_in(tmp_path)) as first:
        token = await first.token_file(tmp_path / "token")
        settings = first.settings
    keeper = IdentityKeeper(first.options(tmp_path, join_token_file=str(token)), LOG, jitter=lambda: 0.0)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keeper.start())
        await asyncio.sleep(0.1)
        async with running(settings), asyncio.timeout(20):
            while not (tmp_path / "identity" / "key.pem").exists():
                await asyncio.sleep(0.02)
    assert keeper.current().spiffe_id == CART


async def test_expired_identity_joins_anew(rig: Rig, tmp_path: Path) -> None:
    first = (await rig.joined(tmp_path)).current()
    assert load_identity(tmp_path / "identity", CART, at(0)) == first
    with pytest.raises(CertificateRefused):
        load_identity(tmp_path / "identity", CART, at(2))
    await rig.token_file(tmp_path / "token")
    (tmp_path / "identity" / "cert-chain.pem").write_bytes(b"broken")
    keeper = IdentityKeeper(rig.options(tmp_path, join_token_file=str(tmp_path / "token")), LOG)
    await keeper.start()
    assert keeper.current() != first


async def test_renews_after_half_life_and_tells(rig: Rig, tmp_path: Path) -> None:
    passed = [timedelta(0)]
    keeper = await rig.joined(tmp_path, now=lambda: datetime.now(UTC) + passed[-1], jitter=lambda: 0.5)
    first = keeper.current()
    for minutes, renewed in ((25, False), (35, True)):
        passed.append(timedelta(minutes=minutes))
        task = asyncio.ensure_future(keeper.run())
        try:
            await asyncio.wait_for(keeper.changed(first), 20 if renewed else 0.3)
        except TimeoutError:
            assert not renewed
        finally:
            task.cancel()
            await asyncio.wait({task})
    assert keeper.current().spiffe_id == CART
    assert keeper.current().key_pem != first.key_pem
    assert load_identity(tmp_path / "identity", CART, at(0)) == keeper.current()


async def test_roots_that_change_during_a_renewal_are_kept(rig: Rig, tmp_path: Path) -> None:
    """Both write the same files: what lies there is whole, and what came last is trusted."""
    keeper = await rig.joined(tmp_path)
    known = keeper.current().roots_pem
    (tmp_path / "other").mkdir()
    async with running(settings_in(tmp_path / "other")) as stranger:
        more = known + stranger.root.read_bytes()
    for turn in range(20):
        before, roots = keeper.current(), more if turn % 2 == 0 else known
        await asyncio.gather(keeper._renew_or_join(), adopting(keeper, roots, turn))
        now = keeper.current()
        assert (now.roots_pem, now.cert_chain_pem == before.cert_chain_pem) == (roots, False)
        assert load_identity(tmp_path / "identity", CART, at(0)) == now


async def adopting(keeper: IdentityKeeper, roots: bytes, turn: int) -> None:
    """Somewhere in the course of a renewal, which takes some milliseconds."""
    await asyncio.sleep(turn * 0.001)
    await keeper.adopt_roots(roots)


async def test_keeps_the_old_identity_while_nobody_renews(tmp_path: Path) -> None:
    late = timedelta(minutes=35)
    async with running(settings_in(tmp_path)) as rig:
        keeper = await rig.joined(tmp_path, now=lambda: datetime.now(UTC) + late, jitter=lambda: 0.0)
        settings = rig.settings
    first = keeper.current()
    task = asyncio.ensure_future(keeper.run())
    try:
        await asyncio.sleep(0.5)
        assert (keeper.current(), task.done()) == (first, False)
        async with running(settings):
            assert (await asyncio.wait_for(keeper.changed(first), 20)).key_pem != first.key_pem
    finally:
        task.cancel()
        await asyncio.wait({task})


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
async def test_key_that_others_can_touch_stops_the_start(rig: Rig, tmp_path: Path, mode: int) -> None:
    keeper = await rig.joined(tmp_path)
    (tmp_path / "identity" / "key.pem").chmod(mode)
    again = IdentityKeeper(rig.options(tmp_path), LOG)
    with pytest.raises(InsecureFile, match="chmod 600"):
        await again.start()
    assert keeper.current()


async def test_key_behind_a_link_stops_the_start(rig: Rig, tmp_path: Path) -> None:
    await rig.joined(tmp_path)
    key = tmp_path / "identity" / "key.pem"
    key.rename(tmp_path / "elsewhere.pem")
    key.symlink_to(tmp_path / "elsewhere.pem")
    with pytest.raises(InsecureFile):
        await IdentityKeeper(rig.options(tmp_path), LOG).start()


async def test_renewal_cut_off_at_any_point_leaves_an_identity(rig: Rig, tmp_path: Path) -> None:
    old = (await rig.joined(tmp_path)).current()
    other = tmp_path / "other"
    new = (await rig.joined(other)).current()
    directory = tmp_path / "identity"
    steps = [("key.pem.next", "key.pem"), ("cert-chain.pem", "cert-chain.pem"), ("key.pem", "key.pem")]
    for cut in range(len(steps) + 1):
        save_identity(directory, old)
        for target, source in steps[:cut]:
            (directory / target).unlink(missing_ok=True)
            os.link(other / "identity" / source, directory / target)
        assert load_identity(directory, CART, at(0)) == (old if cut < 2 else new)


async def test_parts_that_do_not_fit_are_refused(rig: Rig, tmp_path: Path) -> None:
    mine = (await rig.joined(tmp_path)).current()
    parts = {"chain_pem": mine.cert_chain_pem, "key_pem": mine.key_pem, "roots_pem": mine.roots_pem}
    assert make_identity(CART, **parts, now=at(0)) == mine
    with pytest.raises(CertificateRefused, match="another key"):
        make_identity(CART, **{**parts, "key_pem": private_pem(generate_key())}, now=at(0))
    with pytest.raises(CertificateRefused, match="not for"):
        make_identity(PILOTD, **parts, now=at(0))
    assert "PRIVATE" not in repr(mine)


@asynccontextmanager
async def grpc_echo(keeper_of: list[Identity], *, require_client: bool = True) -> AsyncIterator[str]:
    """A server that answers who calls; it serves the last identity of the list."""

    async def who(_: bytes, context: grpc.aio.ServicerContext) -> bytes:  # type: ignore[type-arg]
        return str(peer_spiffe_id(context)).encode()

    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(who)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", {"who": handler}),))
    credentials = grpc_server_credentials(lambda: keeper_of[-1], require_client=require_client)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


async def ask(address: str, credentials: grpc.ChannelCredentials, daemon: str = "pilotd") -> str:
    options = [*channel_options(daemon), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(address, credentials, options=options) as channel:
        answer: bytes = await channel.unary_unary("/test/who")(b"", timeout=5)
        return answer.decode()


async def test_grpc_servers_follow_renewals_and_know_their_peer(rig: Rig, tmp_path: Path) -> None:
    server = (await rig.joined(tmp_path / "server", PILOTD)).current()
    client = (await rig.joined(tmp_path / "client")).current()
    (tmp_path / "other").mkdir()
    async with running(settings_in(tmp_path / "other")) as stranger:
        after = (await stranger.joined(tmp_path / "s", PILOTD)).current()
        newer = (await stranger.joined(tmp_path / "c")).current()
    served = [server]
    async with grpc_echo(served) as address:
        assert await ask(address, grpc_channel_credentials(client)) == str(CART)
        with pytest.raises(grpc.aio.AioRpcError):
            await ask(address, grpc_channel_credentials(client), daemon="galleyd")
        served.append(after)
        assert await ask(address, grpc_channel_credentials(newer)) == str(CART)
        with pytest.raises(grpc.aio.AioRpcError):
            await ask(address, grpc_channel_credentials(client))
    async with grpc_echo([server], require_client=False) as address:
        assert await ask(address, grpc.ssl_channel_credentials(server.roots_pem)) == "None"


async def test_https_servers_follow_renewals_and_know_their_peer(rig: Rig, tmp_path: Path) -> None:
    server = (await rig.joined(tmp_path / "server", PILOTD)).current()
    client = (await rig.joined(tmp_path / "client")).current()
    (tmp_path / "other").mkdir()
    async with running(settings_in(tmp_path / "other")) as stranger:
        after = (await stranger.joined(tmp_path / "s", PILOTD)).current()
        newer = (await stranger.joined(tmp_path / "c")).current()
    served = [server]

    async def who(request: web.Request) -> web.Response:
        assert request.transport is not None
        return web.Response(text=str(tls_peer_spiffe_id(request.transport.get_extra_info("ssl_object"))))

    app = web.Application()
    app.router.add_get("/", who)
    runner = web.AppRunner(app)
    await runner.setup()
    context = ssl_server_context(lambda: served[-1])
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    url = f"https://localhost:{runner.addresses[0][1]}/"

    async def get(tls: ssl.SSLContext) -> str:
        async with ClientSession(connector=TCPConnector(ssl=tls)) as session, session.get(url) as answer:
            return await answer.text()

    anonymous = ssl.create_default_context(cadata=server.roots_pem.decode())
    try:
        assert await get(ssl_client_context(client)) == str(CART)
        assert await get(anonymous) == "None"
        served.append(after)
        assert await get(ssl_client_context(newer)) == str(CART)
        for stale in (anonymous, ssl_client_context(client)):
            with pytest.raises((ClientError, OSError)):
                await get(stale)
        mixed = ssl.create_default_context(cadata=after.roots_pem.decode())
        pair = tmp_path / "pair.pem"
        pair.write_bytes(client.key_pem + client.cert_chain_pem)
        mixed.load_cert_chain(pair)
        with pytest.raises((ClientError, OSError)):  # a client certificate of the old root
            await get(mixed)
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("hours", [-24 * 365, 24 * 365], ids=["behind", "ahead"])
async def test_a_wrong_clock_is_named_before_a_token_is_sent(rig: Rig, hours: float) -> None:
    with pytest.raises(CitadelRefused, match=r"this machine's clock says .*: set the clock; no token"):
        await pinned_roots(
            rig.settings.join_address, str(rig.root), trust_domain="cluster.local", now=at(hours)
        )
