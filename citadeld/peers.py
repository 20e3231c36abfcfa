"""The door for processes of this machine: one line of JSON each way on a Unix socket, for the kernel says who
connected, and gRPC for Python cannot tell.

Asked: `{"csr","node","workload","seconds"}`; answered: `{"chain":[PEM],"roots":[PEM]}`, or `{"code","error"}`
with the name of a status of gRPC.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from artemon.api.v1 import ca_pb2
from artemon.daemon.peers import Peer, serve_peers
from artemon.log import Log
from artemon.pki.bundle import pem_list
from citadeld.attestors.api import Evidence
from citadeld.callers import Door
from citadeld.decision import Denied, Reason
from citadeld.services import FAILURES, Services

MAX_LINE = 64 * 1024
SECONDS = 10.0
LINGER_SECONDS = 1.0
MOST = 32
CALL = "socket/CreateCertificate"


@asynccontextmanager
async def serve_attestation(path: str, services: Services, door: Door, log: Log) -> AsyncIterator[None]:
    """Serve on `path` (0666: everybody on this machine may ask) while the block runs; nowhere when it is
    empty. Raises ArtemonError."""
    if not path:
        yield
        return
    counter = Counter(services, door, log)
    async with serve_peers(Path(path), counter.handle, log, mode=0o666, most=MOST):
        yield


class Counter:
    """Answers one question for each connection."""

    def __init__(self, services: Services, door: Door, log: Log) -> None:
        self._services, self._door, self._log = services, door, log

    async def handle(self, connection: socket.socket, peer: Peer) -> None:
        """Answer, in time or not at all."""
        reader, writer = await asyncio.open_connection(sock=connection, limit=MAX_LINE)
        try:
            async with asyncio.timeout(SECONDS):
                answer = await self._answer(reader, peer)
                writer.write(json.dumps(answer).encode() + b"\n")
                await _said(reader, writer)
        except TimeoutError:
            self._log.info("peer_too_slow", pid=peer.pid, uid=peer.uid)
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, peer: Peer) -> dict[str, Any]:
        address = f"uid {peer.uid}"
        try:
            caller = self._door.peer(peer)
            request = question(await _line(reader))
            answer = await self._services.certify(request, caller, Evidence("peer", peer=peer))
            return {"chain": list(answer.cert_chain), "roots": pem_list(self._services.bundle().roots)}
        except Denied as error:
            await self._services.write_down(error, call=CALL, door="peer", address=address)
            return _refusal(error)
        except FAILURES as error:
            return _refusal(self._services.failed(CALL, error))


def _refusal(error: Denied) -> dict[str, Any]:
    return {"code": error.reason.value, "error": str(error)}


async def _said(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send the rest, and hear the caller out: a Unix socket closed over bytes that nobody has read is reset,
    and the caller finds an error of the kernel in place of the answer."""
    await writer.drain()
    writer.write_eof()
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while await reader.read(MAX_LINE):
                pass


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except ValueError as error:
        raise Denied(Reason.MALFORMED, f"the line has more than {MAX_LINE} bytes") from error


def question(line: bytes) -> ca_pb2.IstioCertificateRequest:
    """What a line asks for. Raises Denied."""
    try:
        asked = json.loads(line)
        request = ca_pb2.IstioCertificateRequest(
            csr=str(asked["csr"]), validity_duration=int(asked.get("seconds", 0))
        )
        for name in ("node", "workload"):
            if name in asked:
                request.metadata.fields[name].string_value = str(asked[name])
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise Denied(Reason.MALFORMED, "the line is no question in JSON") from error
    return request
