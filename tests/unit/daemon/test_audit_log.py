"""The audit log: nothing can be cut, changed or inserted unseen, and a crash costs at most the last line."""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from artemon.daemon.audit import AuditLog, AuditUnavailable, check_chain, check_file, head_path
from artemon.errors import ArtemonError

Tampering = Callable[[list[bytes]], list[bytes]]


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[AuditLog]:
    audit = AuditLog(path)
    task = asyncio.ensure_future(audit.run())
    try:
        yield audit
    finally:
        task.cancel()
        await asyncio.wait({task})


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


async def test_lines_of_many_callers_and_starts_are_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    for _ in range(3):
        async with opened(path) as audit:
            await asyncio.gather(*(audit.append("issued", number=n) for n in range(50)))
    assert check_chain(lines(path)) == 150
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("tamper", "line"),
    [
        pytest.param(lambda found: found[:2] + found[3:], 3, id="cut"),
        pytest.param(lambda found: [found[0].replace(b"issued", b"denied"), *found[1:]], 2, id="changed"),
        pytest.param(lambda found: [found[1], found[0], *found[2:]], 1, id="swapped"),
        pytest.param(lambda found: [*found[:2], b"{}\n", *found[2:]], 3, id="inserted"),
        pytest.param(lambda found: [*found, b"\xff\n"], 6, id="garbage"),
        pytest.param(lambda found: [*found[:4], found[4][:-1]], 5, id="unfinished"),
    ],
)
async def test_tampering_shows(
    tmp_path: Path, tamper: Callable[[list[bytes]], list[bytes]], line: int
) -> None:
    async with opened(tmp_path / "a") as audit:
        for number in range(5):
            await audit.append("issued", number=number)
    found = lines(tmp_path / "a")
    assert check_chain(found) == 5
    with pytest.raises(ArtemonError, match=f"line {line} "):
        check_chain(tamper(found))


@pytest.mark.parametrize("cut", [1, 20, 100])
async def test_line_cut_off_by_a_crash_is_dropped(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a"
    for _ in range(2):
        before = head_path(path).read_bytes() if head_path(path).exists() else b""
        async with opened(path) as audit:
            await audit.append("issued", number=1)
    head_path(path).write_bytes(before)  # the process died before the line was whole
    path.write_bytes(path.read_bytes()[:-cut])
    async with opened(path) as audit:
        await audit.append("issued", number=2)
    assert check_chain(lines(path)) == 2
    assert json.loads(lines(path)[1])["number"] == 2


async def test_decision_that_cannot_be_written_does_not_take_effect(tmp_path: Path) -> None:
    path = tmp_path / "a"
    async with opened(path) as audit:
        await audit.append("issued", number=1)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, hard))
        try:
            with pytest.raises(AuditUnavailable):
                await audit.append("issued", number=2)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        await audit.append("issued", number=3)
    assert check_chain(lines(path)) == 2


@pytest.mark.parametrize("left", [0, 1, 4])
async def test_a_log_that_was_cut_short_shows(tmp_path: Path, left: int) -> None:
    """Its lines still follow from one another, but its head, and a line for ever, say that some are gone."""
    path = tmp_path / "a"
    async with opened(path) as audit:
        for number in range(5):
            await audit.append("issued", number=number)
    assert check_file(path) == 5
    path.write_bytes(b"".join(lines(path)[:left]))
    with pytest.raises(ArtemonError, match="cut or replaced"):
        check_file(path)
    async with opened(path) as audit:
        await audit.append("issued", number=9)
    with pytest.raises(ArtemonError, match=f"before line {left + 1} the audit log was cut"):
        check_file(path)


def test_log_behind_a_link_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    with pytest.raises(ArtemonError):
        AuditLog(tmp_path / "a")


async def test_fields_stay_on_one_short_line(tmp_path: Path) -> None:
    async with opened(tmp_path / "a") as audit:
        await audit.append("refused", reason="a\n" * 10_000)
    assert len(lines(tmp_path / "a")) == 1
    assert len(lines(tmp_path / "a")[0]) < 2000
