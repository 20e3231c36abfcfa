"""Processes of this machine: what the kernel says of them, and certificates for it."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from attest_rig import Granting, facts, granting
from citadel_rig import CART, LOG
from test_citadeld_issue import request_for

from artemon.daemon.identity import IdentityKeeper
from artemon.daemon.identity_client import CitadelRefused, CitadelUnreachable
from artemon.daemon.identity_options import Evidence
from artemon.daemon.joining import ask_by_socket
from artemon.daemon.peers import Peer, peer_of
from citadeld.attestors.unix import facts_of, unit_of

NOBODY = 65534


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        pytest.param("0::/system.slice/cart@1.service\n", ("cart@1.service",), id="service"),
        pytest.param("0::/a.slice/a-b.slice/cart.service/below/x.service\n", ("cart.service",), id="slices"),
        pytest.param(
            "0::/user.slice/user-7.slice/user@7.service/app.slice/artemon-proxyd.service\n",
            ("user@7.service",),
            id="of-a-users-own-manager",
        ),
        pytest.param(
            "5:cpu:/x.service\n1:name=systemd:/system.slice/x.service\n0::/\n", ("x.service",), id="v1"
        ),
        pytest.param("0::/init.scope\n", ("init.scope",), id="scope"),
        pytest.param("0::/docker/x.service\n", (), id="in-a-container"),
        pytest.param("0::/../x.service\n", (), id="outside-of-ours"),
        pytest.param("5:cpu:/system.slice/x.service\n", (), id="another-hierarchy"),
        pytest.param("", (), id="nothing"),
    ],
)
def test_the_unit_is_systemds_own(cgroup: str, unit: tuple[str, ...]) -> None:
    assert unit_of(cgroup) == unit


@pytest.fixture
def peer() -> Iterator[Peer]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        found = peer_of(ours)
        yield found
        os.close(found.pidfd)


def test_a_process_is_what_the_kernel_says(peer: Peer) -> None:
    assert peer.is_alive()
    found = facts_of(peer, Path("/proc"))
    assert found["uid"] == (str(os.geteuid()),)
    assert set(found["gid"]) == {str(gid) for gid in {os.getegid(), *os.getgroups()}}
    assert found["path"] == (str(Path(sys.executable).resolve()),)


def test_a_path_that_leads_elsewhere_here_is_no_fact(peer: Peer, tmp_path: Path) -> None:
    folder = tmp_path / str(peer.pid)
    folder.mkdir()
    (folder / "exe").symlink_to("/bin/true-of-another-world")
    (folder / "status").write_text(f"Uid:\t{peer.uid + 1}\t{peer.uid + 1}\t0\t0\nGroups:\t0 4 27\n")
    found = facts_of(peer, tmp_path)
    assert found.keys() <= {"uid", "gid", "user", "group"}
    assert found["gid"] == (str(peer.gid),), "groups of a process of another user"


def test_a_process_that_has_ended_is_not_alive() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    handle = os.pidfd_open(child)
    os.waitpid(child, 0)
    assert not Peer(child, 0, 0, handle).is_alive()
    os.close(handle)
    assert not Peer(child, 0, 0).is_alive()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory that other users can look through, but not write into."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@pytest.fixture
async def mesh(tmp_path: Path, folder: Path) -> AsyncIterator[Granting]:
    async with granting(tmp_path, "unix:", attest_socket=str(folder / "join.sock")) as found:
        await found.grant(attestor="unix", facts=facts(uid=str(os.geteuid())), serviceAccounts=["cart"])
        yield found


async def granted(mesh: Granting) -> None:
    """Wait until the grant is known."""
    async with asyncio.timeout(30):
        while True:
            try:
                await ask_by_socket(mesh.rig.settings.attest_socket, csr=request_for(), told={})
            except CitadelRefused:
                await asyncio.sleep(0.05)
            else:
                return


async def test_a_process_joins_as_what_it_is(mesh: Granting, tmp_path: Path) -> None:
    await granted(mesh)
    options = mesh.rig.options(tmp_path, CART, evidence=Evidence(socket=mesh.rig.settings.attest_socket))
    keeper = IdentityKeeper(options, LOG)
    await keeper.start()
    assert keeper.current().spiffe_id == CART
    line = json.loads(mesh.rig.audit[-1])
    assert (line["attestor"], line["grant"], line["address"]) == ("unix", "shop/carts", f"uid {os.geteuid()}")
    await keeper._renew_or_join()
    assert json.loads(mesh.rig.audit[-1])["method"] == "certificate", "renewed as everybody"


SETRESUID = {"x86_64": 117, "aarch64": 147}.get(os.uname().machine)
"""The system call: what libc makes of it changes all threads of the process, and the store is in others."""


def connected_as(uid: int, path: str) -> socket.socket:
    """A connection by a thread of another user."""

    def connect() -> socket.socket:
        if ctypes.CDLL(None, use_errno=True).syscall(SETRESUID, uid, uid, uid) != 0:
            raise OSError(ctypes.get_errno(), "setresuid")
        made = socket.socket(socket.AF_UNIX)
        made.connect(path)
        return made

    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(connect).result(30)


@pytest.mark.skipif(os.geteuid() != 0 or SETRESUID is None, reason="only root can connect as another user")
async def test_another_user_is_refused(mesh: Granting) -> None:
    await granted(mesh)
    with connected_as(NOBODY, mesh.rig.settings.attest_socket) as connection:
        connection.setblocking(False)
        question = json.dumps({"csr": request_for().decode()}).encode() + b"\n"
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(30):
            await loop.sock_sendall(connection, question)
            answer = json.loads(await loop.sock_recv(connection, 65536))
    assert os.geteuid() == 0
    assert answer["code"] == "PERMISSION_DENIED"
    assert "no IdentityGrant" in answer["error"]
    line = json.loads(mesh.rig.audit[-1])
    assert (line["decision"], line["address"], line["reason"]) == ("refused", "uid 65534", answer["error"])


@pytest.mark.parametrize(
    "line", [b"\n", b"{}\n", b"[1]\n", b"\xff\xfe\n", b'{"csr":"x","seconds":"y"}\n', b"x" * 70000]
)
async def test_what_is_no_question_is_refused(mesh: Granting, line: bytes) -> None:
    async with asyncio.timeout(30):
        reader, writer = await asyncio.open_unix_connection(mesh.rig.settings.attest_socket)
        writer.write(line)
        answer = json.loads(await reader.readline())
        writer.close()
    assert answer["code"] == "INVALID_ARGUMENT"


async def test_a_socket_that_others_could_have_made_is_not_asked(tmp_path: Path) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    with pytest.raises(CitadelRefused, match="others may write"):
        await ask_by_socket(str(open_to_all / "join.sock"), csr=b"", told={})
    with pytest.raises(CitadelUnreachable):
        await ask_by_socket(str(tmp_path / "none.sock"), csr=b"", told={})
