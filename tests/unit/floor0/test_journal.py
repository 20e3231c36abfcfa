"""Events in systemd's journal: what is sent there, and what becomes of them while it is away."""

from __future__ import annotations

import io
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from artemon import log
from artemon.journal import JournalHandler, entry, is_stderr


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(tmp_path / "socket"))
        made.settimeout(10)
        yield made


def handler_to(path: Path) -> tuple[JournalHandler, io.StringIO]:
    text = io.StringIO()
    return JournalHandler(logging.StreamHandler(text), log._journal_fields, path), text


def record(event: str, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("proxyd", logging.WARNING, "", 0, event, (), None)
    made.artemon = fields
    return made


def received(journal: socket.socket) -> dict[str, str]:
    lines = journal.recv(65536).decode().splitlines()
    return {key: value for key, _, value in (line.partition("=") for line in lines)}


def test_every_field_is_one_of_the_journals(journal: socket.socket, tmp_path: Path) -> None:
    handler, _ = handler_to(tmp_path / "socket")
    handler.emit(record("proxy gone", node="a", last_seen=2.5, reason="a=b\nPRIORITY=0"))
    found = received(journal)
    assert (found["PRIORITY"], found["SYSLOG_IDENTIFIER"]) == ("4", "proxyd")
    assert (found["ARTEMON_EVENT"], found["ARTEMON_NODE"], found["ARTEMON_LAST_SEEN"]) == (
        "proxy gone",
        "a",
        "2.5",
    )
    assert found["ARTEMON_REASON"] == "a=b\\nPRIORITY=0", "nobody writes fields of his own"
    handler.close()


def test_names_of_fields_are_those_that_the_journal_takes() -> None:
    assert b"\nARTEMON_A_B_=1\n" in entry(6, "x", "m", {"a-b.": "1"})


def test_what_the_journal_does_not_take_is_written_as_text(journal: socket.socket, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    handler, text = handler_to(path)
    path.rename(tmp_path / "away")
    handler.emit(record("first"))
    assert text.getvalue() == "first\n"
    (tmp_path / "away").rename(path)
    handler.emit(record("second"))
    assert received(journal)["ARTEMON_EVENT"] == "second"
    handler.close()


def test_the_journal_is_known_by_its_stream(tmp_path: Path) -> None:
    with (tmp_path / "stream").open("w") as stream, (tmp_path / "other").open("w") as other:
        found = os.fstat(stream.fileno())
        environ = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        assert is_stderr(environ, stream.fileno())
        assert not is_stderr(environ, other.fileno()), "a daemon whose output somebody leads elsewhere"
        assert not is_stderr({}, stream.fileno())
