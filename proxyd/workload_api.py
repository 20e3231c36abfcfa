"""The SPIFFE Workload API on a Unix socket: programs get the workload's SVID and bundle, and see them change.

Whoever may call is the workload: mode and group decide who can open the socket, and of those that can, the
kernel says who each is (SPIFFE standard, "SPIFFE Workload API"; JWT-SVIDs are not issued: that part answers
UNIMPLEMENTED). gRPC for Python does not tell who is at the other end of a Unix socket, so it listens on one
that is ours alone, and connections of callers who may are passed on to it.
"""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from cryptography.hazmat.primitives import serialization

from artemon.api.v1 import workload_pb2 as pb
from artemon.daemon.identity import IdentityKeeper
from artemon.daemon.identity_files import Identity
from artemon.daemon.peers import Peer, relay, serve_peers
from artemon.errors import ArtemonError
from artemon.log import Log
from artemon.pki.certificate import load_certificates
from artemon.pki.keys import load_private_key
from artemon.pki.spiffe import SpiffeUri
from proxyd.server import listening

SERVICE = "SpiffeWorkloadAPI"
HEADER = ("workload.spiffe.io", "true")
"""Every call carries it, so that no browser or proxy can be led to make one."""
MAX_REQUEST = 64 * 1024
Context = grpc.aio.ServicerContext[Any, Any]
Lists = Callable[[], list[bytes]]
"""The revocation lists of now, DER."""


def svid_response(identity: Identity, lists: list[bytes]) -> pb.X509SVIDResponse:
    """The one SVID of the workload."""
    key = load_private_key(identity.key_pem).private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    svid = pb.X509SVID(
        spiffe_id=str(identity.spiffe_id),
        x509_svid=_der(identity.cert_chain_pem),
        x509_svid_key=key,
        bundle=_der(identity.roots_pem),
    )
    return pb.X509SVIDResponse(svids=[svid], crl=lists)


def bundles_response(identity: Identity, lists: list[bytes]) -> pb.X509BundlesResponse:
    """The bundle of the workload's trust domain."""
    domain = str(SpiffeUri(identity.spiffe_id.trust_domain))
    return pb.X509BundlesResponse(crl=lists, bundles={domain: _der(identity.roots_pem)})


def _der(pem: bytes) -> bytes:
    return b"".join(one.public_bytes(serialization.Encoding.DER) for one in load_certificates(pem))


class WorkloadApi:
    """Streams to programs. Until there is an identity, they are told that there is none yet."""

    def __init__(self, keeper: IdentityKeeper, lists: Lists) -> None:
        self._keeper = keeper
        self._lists = lists

    async def svids(self, _: bytes, context: Context) -> AsyncIterator[pb.X509SVIDResponse]:
        """FetchX509SVID: one answer now, and one for every change."""
        async for identity in self._identities(context):
            yield svid_response(identity, self._lists())

    async def bundles(self, _: bytes, context: Context) -> AsyncIterator[pb.X509BundlesResponse]:
        """FetchX509Bundles: likewise."""
        async for identity in self._identities(context):
            yield bundles_response(identity, self._lists())

    async def _identities(self, context: Context) -> AsyncIterator[Identity]:
        if HEADER not in {(str(key), str(value)) for key, value in context.invocation_metadata() or ()}:
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT, f"the call must carry the header {HEADER[0]}: {HEADER[1]}"
            )
        try:
            identity = self._keeper.current()
        except ArtemonError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        while True:
            yield identity
            identity = await self._keeper.changed(identity)

    @asynccontextmanager
    async def serve(self, path: Path, callers: Allowed, *, run_dir: Path, log: Log) -> AsyncIterator[None]:
        """Serve `callers` on `path` while the block runs. run_dir: of ours alone (0700).

        Raises ArtemonError when the socket cannot be made.
        """
        inner, refusing = run_dir / "workload-api.sock", run_dir / "workload-refused.sock"

        async def take(connection: socket.socket, peer: Peer) -> None:
            allowed = await asyncio.to_thread(callers.allows, peer)
            say = log.info if allowed else log.warning
            say("workload_api_called", pid=peer.pid, uid=peer.uid, gid=peer.gid, allowed=allowed)
            await relay(connection, inner if allowed else refusing)

        async with (
            _serving(inner, {"FetchX509SVID": self.svids, "FetchX509Bundles": self.bundles}),
            _serving(refusing, dict.fromkeys(("FetchX509SVID", "FetchX509Bundles"), _refuse)),
            serve_peers(path, take, log, mode=callers.mode, group=callers.group),
        ):
            yield


async def _refuse(_: bytes, context: Context) -> None:
    await context.abort(grpc.StatusCode.PERMISSION_DENIED, "the user of this process may not be the workload")


@asynccontextmanager
async def _serving(path: Path, calls: Mapping[str, Any]) -> AsyncIterator[None]:
    """gRPC on a socket of ours alone while the block runs."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", MAX_REQUEST)])
    handlers: dict[str, Any] = {
        name: grpc.unary_stream_rpc_method_handler(call, response_serializer=_serialized)
        for name, call in calls.items()
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    async with listening(server, path):
        yield


@dataclass(frozen=True, slots=True)
class Allowed:
    """Who is the workload, beside our own user and root: members of `group`, and `users` (names or
    numbers)."""

    group: str = ""
    users: tuple[str, ...] = ()

    @property
    def mode(self) -> int:
        """Of the socket: whom the kernel lets in."""
        return 0o666 if self.users else 0o660 if self.group else 0o600

    def allows(self, peer: Peer) -> bool:
        """Whether a process may call. What cannot be looked up allows nothing."""
        if peer.uid in {0, os.geteuid()}:
            return True
        if any(_uid(name) == peer.uid for name in self.users):
            return True
        try:
            wanted = grp.getgrnam(self.group).gr_gid if self.group else -1
            return wanted in {peer.gid, *os.getgrouplist(pwd.getpwuid(peer.uid).pw_name, peer.gid)}
        except KeyError:
            return False


def _uid(name: str) -> int:
    try:
        return int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid
    except KeyError:
        return -1


def _serialized(message: pb.X509SVIDResponse | pb.X509BundlesResponse) -> bytes:
    return message.SerializeToString()
