"""The embedded registry when processes die and files go."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from pathlib import Path

import pytest
from conftest import Open
from observe import actor, line_of, observing

from artemon.errors import StoreError, Unavailable
from artemon.store.sqlite.schema import network_filesystem


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mesh.db"


async def test_a_writer_killed_at_any_time_leaves_whole_transactions(file: Path, opened: Open) -> None:
    url = f"sqlite://{file}"
    store = await opened(url)
    async with observing(store, "k-") as seen:
        for pause in (0.0, 0.003, 0.02, 0.05, 0.1):
            async with actor("write", url, "k") as writer:
                await line_of(writer)
                await asyncio.sleep(pause)
                writer.kill()
                printed = (await writer.stdout.read()).decode().split()
            found = {entry.key: entry.value for entry in (await store.list("k-")).entries}
            acknowledged = int(printed[-1]) if printed else 0
            assert found["k-a"] == found["k-b"]
            assert int(found["k-a"]) >= acknowledged
            assert (await store.put("k-later", str(pause).encode())).ok
        await seen.until(lambda one: one.state.get("k-later") == b"0.1")
        assert seen.state["k-a"] == seen.state["k-b"]
        assert seen.reasons == ["start"]
    check = sqlite3.connect(file)
    assert check.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    check.close()


async def test_a_killed_holder_loses_its_keys(file: Path, opened: Open) -> None:
    url = f"sqlite://{file}"
    store = await opened(url)
    async with actor("hold", url, "k") as holder:
        assert await line_of(holder) == "held"
        assert await store.get("k") is not None
    async with observing(store, "k") as seen:
        await seen.until(lambda one: not one.state, 6)


async def test_a_writer_that_hangs_makes_others_unavailable_and_stops_no_reader(
    file: Path, opened: Open
) -> None:
    store = await opened(f"sqlite://{file}", timeout=0.3)
    await store.put("k", b"1")
    hanging = sqlite3.connect(file, isolation_level=None)
    hanging.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="locked"):
        await store.put("k", b"2")
    assert (await store.get("k")).value == b"1"
    newcomer = await opened(f"sqlite://{file}")  # opening needs no write lock
    assert (await newcomer.get("k")).value == b"1"
    hanging.execute("ROLLBACK")
    hanging.close()
    assert (await store.put("k", b"3")).ok


async def test_a_file_that_was_removed_begins_anew_with_a_snapshot(file: Path, opened: Open) -> None:
    store, other = await opened(f"sqlite://{file}"), await opened(f"sqlite://{file}")
    await store.put("k", b"1")
    async with observing(store, "k") as seen:
        file.unlink()
        await other.put("k2", b"2")
        await seen.until(lambda one: one.state == {"k2": b"2"})
        assert seen.reasons == ["start", "reset"]
        assert (await store.list("k")).position == (await other.list("k")).position


async def test_an_older_copy_put_back_is_another_history(file: Path, opened: Open, tmp_path: Path) -> None:
    first = await opened(f"sqlite://{file}")
    await first.put("k", b"old")
    await first.close()
    shutil.copy(file, tmp_path / "copy")
    store = await opened(f"sqlite://{file}")
    for _ in range(3):
        await store.put("k", b"new")
    async with observing(store, "k") as seen:
        for tail in ("-wal", "-shm"):
            Path(f"{file}{tail}").unlink()
        (tmp_path / "copy").rename(file)
        await seen.until(lambda one: one.state == {"k": b"old"})
        assert seen.reasons == ["start", "reset"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"no database at all, but long enough" * 40, "not a database", id="garbage"),
        pytest.param(None, "SQLite file of another program", id="another-program"),
    ],
)
async def test_a_foreign_file_is_refused(file: Path, opened: Open, content: bytes | None, words: str) -> None:
    if content is not None:
        file.write_bytes(content)
    else:
        foreign = sqlite3.connect(file)
        foreign.execute("CREATE TABLE t (x)")
        foreign.close()
    with pytest.raises(StoreError, match=words):
        await opened(f"sqlite://{file}")


async def test_a_missing_directory_is_named(tmp_path: Path, opened: Open) -> None:
    with pytest.raises(StoreError, match=r"the directory .*/none does not exist"):
        await opened(f"sqlite://{tmp_path}/none/mesh.db")


def test_network_file_systems_are_told_apart(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "1 0 8:1 / / rw - ext4 /dev/sda rw\n"
        "2 1 0:9 / /srv/a\\040b rw shared:1 - nfs4 host:/x rw\n"
        "3 2 0:8 / /srv/a\\040b/local rw - ext4 /dev/sdb rw\n"
    )
    found = [network_filesystem(Path(path), mounts) for path in ("/srv", "/srv/a b/c", "/srv/a b/local/d")]
    assert found == ["", "nfs4", ""]
