"""The SPIFFE Workload API as programs use it: with py-spiffe, a client that is not ours."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import grpc
import pytest
from citadel_rig import CART, LOG, Rig
from spiffe import TrustDomain, WorkloadApiClient
from spiffe.errors import PySpiffeError

from artemon.api.v1 import workload_pb2 as pb
from artemon.daemon.identity import IdentityKeeper
from artemon.errors import ArtemonError
from artemon.pki.certificate import load_certificates
from proxyd.workload_api import SERVICE, WorkloadApi


async def test_py_spiffe_gets_svid_and_bundle_and_sees_the_renewal(rig: Rig, tmp_path: Path) -> None:
    keeper = await rig.joined(tmp_path / "cart")
    socket = tmp_path / "workload.sock"
    async with WorkloadApi(keeper, list).serve(socket, ""):
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


async def test_without_the_header_nothing_is_given(rig: Rig, tmp_path: Path) -> None:
    keeper = await rig.joined(tmp_path / "cart")
    socket = tmp_path / "workload.sock"
    async with (
        WorkloadApi(keeper, list).serve(socket, ""),
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
    async with WorkloadApi(keeper, list).serve(socket, ""):
        client = WorkloadApiClient(f"unix:{socket}", default_timeout=2)
        with pytest.raises(PySpiffeError):
            await asyncio.to_thread(client.fetch_x509_svid)
        await asyncio.to_thread(client.close)


async def test_a_group_that_does_not_exist_stops_the_start(rig: Rig, tmp_path: Path) -> None:
    keeper = await rig.joined(tmp_path / "cart")
    with pytest.raises(ArtemonError, match="cannot listen"):
        async with WorkloadApi(keeper, list).serve(tmp_path / "w.sock", "no-such-group"):
            pass
