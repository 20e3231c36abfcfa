"""The SPIFFE Workload API as programs use it: with py-spiffe, a client that is not ours."""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
import socket as sockets
import stat
import tempfile
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import grpc
import pytest
from citadel_rig import CART, LOG, Rig
from spiffe import TrustDomain, WorkloadApiClient
from spiffe.errors import PySpiffeError

from artemon.api.v1 import workload_pb2 as pb
from artemon.daemon.identity import IdentityKeeper
from artemon.daemon.peers import Peer, serve_peers
from artemon.errors import ArtemonError
from artemon.pki.certificate import load_certificates
from proxyd.workload_api import SERVICE, Allowed, WorkloadApi

NOBODY = 65534


def serving(
    keeper: IdentityKeeper, path: Path, callers: Allowed | None = None
) -> AbstractAsyncContextManager[None]:
    run_dir = path.parent / "run"
    run_dir.mkdir(mode=0o700, exist_ok=True)
    return WorkloadApi(keeper, list).serve(path, callers or Allowed(), run_dir=run_dir, log=LOG)


async def test_py_spiffe_gets_svid_and_bundle_and_sees_the_renewal(rig: Rig, tmp_path: Path) -> None:
    keeper = await rig.joined(tmp_path / "cart")
    socket = tmp_path / "workload.sock"
    async with serving(keeper, socket):
        assert stat.S_IMODE(socket.stat().st_mode) == 0o600
        client = WorkloadApiClient(f"unix:{socket}")
        contexts: asyncio.Queue[object] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        cancel = await asyncio.to_thread(
            client.stream_x509_contexts,
            lambda found: loop.call_soon_threadsafe(contexts.put_nowait, found),
            lambda error: loop.call_soon_threadsafe(contexts.put_nowait, error),
        )
        async with asyncio.timeout(60):
            first = (await contexts.get()).default_svid  # type: ignore[attr-defined]
            assert str(first.spiffe_id) == str(CART)
            bundle = (await asyncio.to_thread(client.fetch_x509_bundles)).get_bundle_for_trust_domain(
                TrustDomain("cluster.local")
            )
            roots = load_certificates(rig.root.read_bytes())
            assert bundle is not None
            assert set(bundle.x509_authorities) == set(roots)
            await keeper._renew_or_join()
            second = (await contexts.get()).default_svid  # type: ignore[attr-defined]
        assert second.leaf.serial_number != first.leaf.serial_number
        cancel.cancel()
        await asyncio.to_thread(client.close)


async def test_the_run_directory_may_have_a_long_path(rig: Rig, tmp_path: Path) -> None:
    keeper = await rig.joined(tmp_path / "cart")
    run_dir = tmp_path / ("long" * 30)
    run_dir.mkdir(mode=0o700)
    socket = tmp_path / "workload.sock"
    async with WorkloadApi(keeper, list).serve(socket, Allowed(), run_dir=run_dir, log=LOG):
        assert {stat.S_IMODE(one.stat().st_mode) for one in run_dir.glob("*.sock")} == {0o600}
        client = WorkloadApiClient(f"unix:{socket}", default_timeout=20)
        found = await asyncio.to_thread(client.fetch_x509_svid)
        assert str(found.spiffe_id) == str(CART)
        await asyncio.to_thread(client.close)


async def test_without_the_header_nothing_is_given(rig: Rig, tmp_path: Path) -> None:
    keeper = await rig.joined(tmp_path / "cart")
    socket = tmp_path / "workload.sock"
    async with (
        serving(keeper, socket),
        grpc.aio.insecure_channel(f"unix:{socket}") as channel,
    ):
        call = channel.unary_stream(
            f"/{SERVICE}/FetchX509SVID", request_serializer=pb.X509SVIDRequest.SerializeToString
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in call(pb.X509SVIDRequest()):
                pass
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_there_is_no_identity_yet(rig: Rig, tmp_path: Path) -> None:
    keeper = IdentityKeeper(rig.options(tmp_path, CART), LOG)
    socket = tmp_path / "workload.sock"
    async with serving(keeper, socket):
        client = WorkloadApiClient(f"unix:{socket}", default_timeout=2)
        with pytest.raises(PySpiffeError):
            await asyncio.to_thread(client.fetch_x509_svid)
        await asyncio.to_thread(client.close)


async def test_a_group_that_does_not_exist_stops_the_start(rig: Rig, tmp_path: Path) -> None:
    keeper = await rig.joined(tmp_path / "cart")
    with pytest.raises(ArtemonError, match="cannot listen"):
        async with serving(keeper, tmp_path / "w.sock", Allowed("no-such-group")):
            pass


def peer(uid: int, gid: int = NOBODY) -> Peer:
    return Peer(1, uid, gid)


def test_who_may_call() -> None:
    other = pwd.getpwnam("daemon").pw_uid
    for callers in (Allowed(), Allowed("root"), Allowed(users=("daemon",))):
        assert callers.allows(peer(os.geteuid()))
        assert callers.allows(peer(0))
        assert not callers.allows(peer(4_000_000)), "a user that nobody knows"
    assert not Allowed().allows(peer(other))
    assert Allowed(users=("daemon",)).allows(peer(other))
    assert Allowed(users=(str(other),)).allows(peer(other))
    assert not Allowed(users=("no-such-user",)).allows(peer(other))
    group = grp.getgrnam("daemon").gr_gid
    assert Allowed("daemon").allows(peer(other, group))
    assert not Allowed("daemon").allows(peer(pwd.getpwnam("nobody").pw_uid))
    assert [oct(one.mode) for one in (Allowed(), Allowed("a"), Allowed("a", ("b",)))] == [
        "0o600",
        "0o660",
        "0o666",
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can connect as another user")
async def test_the_kernel_says_who_calls_and_others_are_refused(rig: Rig, tmp_path: Path) -> None:
    """Another user opens the socket, which is open to all for one who may; what it sends is passed on
    here."""
    keeper = await rig.joined(tmp_path / "cart")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for users, code in (
            (("daemon",), grpc.StatusCode.PERMISSION_DENIED),
            ((str(NOBODY),), grpc.StatusCode.OK),
        ):
            async with serving(keeper, folder / "w.sock", Allowed(users=users)):
                door = folder / "run" / "as-nobody.sock"
                with sockets.socket(sockets.AF_UNIX) as theirs:
                    os.seteuid(NOBODY)
                    try:
                        theirs.connect(str(folder / "w.sock"))
                    finally:
                        os.seteuid(0)
                    theirs.setblocking(False)
                    assert await first_status(door, theirs) is code


async def first_status(door: Path, theirs: sockets.socket) -> grpc.StatusCode:
    """Of a call whose bytes go through a connection that is there already."""
    loop = asyncio.get_running_loop()

    async def take(connection: sockets.socket, _: Peer) -> None:
        async def pump(source: sockets.socket, target: sockets.socket) -> None:
            while data := await loop.sock_recv(source, 65536):
                await loop.sock_sendall(target, data)

        await asyncio.gather(pump(connection, theirs), pump(theirs, connection))

    async with serve_peers(door, take, LOG), grpc.aio.insecure_channel(f"unix:{door}") as channel:
        call = channel.unary_stream(
            f"/{SERVICE}/FetchX509SVID", request_serializer=pb.X509SVIDRequest.SerializeToString
        )(pb.X509SVIDRequest(), metadata=(("workload.spiffe.io", "true"),))
        try:
            async with asyncio.timeout(30):
                async for _ in call:
                    return grpc.StatusCode.OK
        except grpc.aio.AioRpcError as error:
            return error.code()
        finally:
            call.cancel()
    raise AssertionError("no answer")
