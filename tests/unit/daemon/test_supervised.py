"""Sockets that systemd keeps: handed over, found again, and given up when settings say another address."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import free_ports

from artemon.daemon.supervised import OURS, bound, passed

STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """What systemd hears."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(tmp_path / "notify"))
        made.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv(OURS, "")
        yield made
        for _, one in passed(os.environ, 0):
            one.close()
        for one in os.environ[OURS].split():
            os.close(int(one.partition("=")[0]))


def heard(systemd: socket.socket) -> tuple[str, list[int]]:
    message, numbers, _, _ = socket.recv_fds(systemd, 4096, 4)
    return message.decode(), numbers


@pytest.mark.parametrize("kind", [STREAM, DATAGRAM], ids=["tcp", "udp"])
def test_a_socket_outlives_who_made_it(systemd: socket.socket, kind: socket.SocketKind) -> None:
    (port,) = free_ports(1)
    bound("door", "127.0.0.1", port, kind).close()
    told, (kept,) = heard(systemd)
    assert told == "FDSTORE=1\nFDNAME=door"
    with socket.socket(socket.AF_INET, kind) as client:
        client.connect(("127.0.0.1", port))
        client.send(b"asked while nobody was there")
        with bound("door", "127.0.0.1", port, kind) as again:
            again.settimeout(10)
            reader = again.accept()[0] if kind is STREAM else again
            assert reader.recv(100) == b"asked while nobody was there"
            reader.close()
    os.close(kept)


def test_what_is_kept_for_another_address_is_given_up(systemd: socket.socket) -> None:
    before, after = free_ports(2)
    bound("door", "127.0.0.1", before, STREAM).close()
    os.close(heard(systemd)[1][0])
    with bound("door", "127.0.0.1", after, STREAM) as made:
        assert made.getsockname() == ("127.0.0.1", after)
    assert heard(systemd)[0] == "FDSTOREREMOVE=1\nFDNAME=door"
    told, numbers = heard(systemd)
    assert told == "FDSTORE=1\nFDNAME=door"
    os.close(numbers[0])


def test_systemds_variables_count_for_the_process_that_they_name(tmp_path: Path) -> None:
    told = {"LISTEN_PID": "7", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "door"}
    assert passed(told, 8) == []
    assert passed({OURS: "9999=door"}, 8) == [], "closed meanwhile"


def test_without_systemd_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    (port,) = free_ports(1)
    bound("door", "127.0.0.1", port, STREAM).close()
    assert OURS not in os.environ
    bound("door", "127.0.0.1", port, STREAM).close()
