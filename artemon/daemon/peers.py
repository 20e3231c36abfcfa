"""Unix sockets whose callers are known: the kernel says which process connected."""

from __future__ import annotations

import asyncio
import os
import select
import shutil
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from artemon.daemon.sockets import reachable
from artemon.errors import ArtemonError
from artemon.log import Log

_PEER_PIDFD = 77
"""SO_PEERPIDFD of Linux 6.5 and later; Python does not name it."""
_UCRED = struct.Struct("3i")
BACKLOG, PAUSE, CHUNK = 128, 0.1, 64 * 1024


@dataclass(frozen=True, slots=True)
class Peer:
    """A process at the other end. pidfd: holds it, so that its number is nobody else's; -1 when it is gone
    already."""

    pid: int
    uid: int
    gid: int
    pidfd: int = -1

    def is_alive(self) -> bool:
        """Whether it still runs: what was read of its number in /proc is its own."""
        if self.pidfd < 0:
            return False
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return not poll.poll(0)


Handle = Callable[[socket.socket, Peer], Awaitable[None]]
"""Takes over a connection, and closes it."""


def peer_of(connection: socket.socket) -> Peer:
    """The process that connected. Raises OSError."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, gid = _UCRED.unpack(raw)
    return Peer(pid, uid, gid, _hold(connection, pid))


def _hold(connection: socket.socket, pid: int) -> int:
    try:
        return connection.getsockopt(socket.SOL_SOCKET, _PEER_PIDFD)
    except OSError:
        pass  # an older kernel: the number may have changed hands since, but hardly to another user's process
    try:
        return os.pidfd_open(pid)
    except OSError:
        return -1


@asynccontextmanager
async def serve_peers(
    path: Path, handle: Handle, log: Log, *, mode: int = 0o600, group: str = "", most: int = 256
) -> AsyncIterator[None]:
    """Give every connection on `path` to `handle` while the block runs. mode, group: of the socket; most:
    connections at once. Raises ArtemonError when the socket cannot be made."""
    listener = _listen(path, mode, group)
    running: set[asyncio.Task[None]] = set()
    turns = asyncio.Semaphore(most)

    async def accept(tasks: asyncio.TaskGroup) -> None:
        while True:
            await turns.acquire()
            connection = await _accepted(listener, log)
            task = tasks.create_task(_handle(connection, handle, log))
            running.add(task)
            task.add_done_callback(running.discard)
            task.add_done_callback(lambda _: turns.release())

    try:
        async with asyncio.TaskGroup() as tasks:
            accepting = tasks.create_task(accept(tasks))
            try:
                yield
            finally:
                accepting.cancel()
                for task in running:
                    task.cancel()
    finally:
        listener.close()
        await asyncio.to_thread(path.unlink, missing_ok=True)


async def _accepted(listener: socket.socket, log: Log) -> socket.socket:
    while True:
        try:
            return (await asyncio.get_running_loop().sock_accept(listener))[0]
        except OSError as error:  # too many open files, or the caller has gone
            log.warning("peer_not_accepted", reason=error)
            await asyncio.sleep(PAUSE)


async def _handle(connection: socket.socket, handle: Handle, log: Log) -> None:
    with connection:
        connection.setblocking(False)
        try:
            peer = peer_of(connection)
        except OSError as error:
            log.info("peer_unknown", reason=error)
            return
        try:
            await handle(connection, peer)
        except (OSError, asyncio.IncompleteReadError) as error:
            log.debug("peer_gone", pid=peer.pid, uid=peer.uid, reason=error)
        finally:
            if peer.pidfd >= 0:
                os.close(peer.pidfd)


def _listen(path: Path, mode: int, group: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    before = os.umask(0o177)
    try:
        path.unlink(missing_ok=True)
        made.bind(str(path))
        if group:
            shutil.chown(path, group=group)
        path.chmod(mode)
        made.listen(BACKLOG)
    except (OSError, ValueError, LookupError) as error:
        made.close()
        raise ArtemonError(f"cannot listen on {path}: {error}") from error
    finally:
        os.umask(before)
    made.setblocking(False)
    return made


async def relay(connection: socket.socket, target: Path) -> None:
    """Pass bytes both ways between a connection and a Unix socket of ours, until either end is closed."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as inner:
        inner.setblocking(False)
        with reachable(target) as name:
            await loop.sock_connect(inner, name)
        async with asyncio.TaskGroup() as tasks:
            pumps = [tasks.create_task(_pump(*ends)) for ends in ((connection, inner), (inner, connection))]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()


async def _pump(source: socket.socket, target: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    with suppress(OSError):
        while data := await loop.sock_recv(source, CHUNK):
            await loop.sock_sendall(target, data)
