"""Export, import, migration and schema, on real stores: nothing is overwritten, nothing is lost."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from artemon.daemon.registry import keep_schema, open_registry
from artemon.errors import StoreError
from artemon.store import archive, moving
from artemon.store.api import Bookmark, Position, Snapshot, Stale, Store, WatchItem
from artemon.store.inspect import inspect
from artemon.store.layout import Layout
from artemon.store.open import open_store
from artemon.store.schema import VERSION, NewerSchema, Schema, admit, guard, stamp

LAYOUT = Layout()
ROOT = LAYOUT.root
NEWER = b'{"version": 9, "reads": 9}'


@pytest.fixture
async def stores() -> AsyncIterator[tuple[Store, Store]]:
    pair = [await open_store("memory://") for _ in range(2)]
    yield pair[0], pair[1]
    for store in pair:
        await store.close()


async def fill(store: Store, count: int = 200) -> None:
    for number in range(count):
        await store.put(LAYOUT.config("virtualservices", "shop", f"v{number}"), b'{"n": %d}' % number)
    await store.put(LAYOUT.secret("shop", "tls"), b'{"sealed": "\xc3\xa9"}')
    lease = await store.lease(60)
    await store.put(LAYOUT.workload("shop", "a", "n1"), b"{}", lease=lease.id)


async def content(store: Store) -> dict[str, bytes]:
    return {entry.key: entry.value for entry in (await store.list(ROOT)).entries if not entry.lease}


async def test_what_is_exported_is_imported(stores: tuple[Store, Store], tmp_path: Path) -> None:
    old, new = stores
    await fill(old)
    file = tmp_path / "backup"
    archive.write(file, await moving.export(old, ROOT))
    assert file.stat().st_mode & 0o777 == 0o600
    done = await moving.restore(new, archive.read(file))
    assert (done.keys, done.written) == (201, 201)
    assert await content(new) == await content(old)
    again = await moving.restore(new, archive.read(file))
    assert (again.keys, again.written) == (201, 0)


async def test_an_import_that_was_cut_off_is_repeated(stores: tuple[Store, Store]) -> None:
    old, new = stores
    await fill(old)
    whole = await moving.export(old, ROOT)
    for key, value in whole.items[:70]:
        await new.put(key, value)
    assert (await moving.restore(new, whole)).written == 131


@pytest.mark.parametrize(
    ("key", "value"),
    [("config/virtualservices/shop/v3", b"mine"), ("config/virtualservices/shop/mine", b"{}")],
)
async def test_what_the_target_holds_is_never_overwritten(
    stores: tuple[Store, Store], key: str, value: bytes
) -> None:
    old, new = stores
    await fill(old)
    await new.put(ROOT + key, value)
    with pytest.raises(StoreError, match=f"something else: {ROOT}{key}; nothing was written"):
        await moving.restore(new, await moving.export(old, ROOT))
    assert await content(new) == {ROOT + key: value}


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        pytest.param(lambda text: text[:-10], "checksum does not fit", id="cut-off"),
        pytest.param(lambda text: text.replace(b"v17", b"v71"), "checksum does not fit", id="changed"),
        pytest.param(lambda _: b"hello", "is not an export", id="another-file"),
    ],
)
async def test_a_damaged_file_is_refused(stores: tuple[Store, Store], tmp_path: Path, damage, words) -> None:
    await fill(stores[0])
    file = tmp_path / "backup"
    archive.write(file, await moving.export(stores[0], ROOT))
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(StoreError, match=words):
        archive.read(file)


def forged(*lines: object, root: str = ROOT, **about: object) -> bytes:
    """A file whose checksum fits, whatever is in it."""
    head = {"root": root, "revision": 1, "keys": len(lines), **about}
    body = "\n".join(json.dumps(one) for one in (head, *lines)).encode()
    return archive.MAGIC + b" " + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(forged([f"{ROOT}a", "eA=="], keys=2), "holds 1 keys, not 2", id="too-few"),
        pytest.param(forged([f"{ROOT}a"]), "is no whole export", id="no-value"),
        pytest.param(forged([f"{ROOT}a", "?"]), "is no whole export", id="no-base64"),
        pytest.param(forged(keys="many"), "is no whole export", id="no-number"),
        pytest.param(forged(["artemon/other/a", "eA=="]), "'artemon/other/a' is not of", id="another-mesh"),
        pytest.param(forged(["x", "eA=="], root=""), "is of '', which is no mesh", id="no-mesh"),
        pytest.param(forged([f"{ROOT}../x", "eA=="]), "no part between slashes", id="way-out"),
        pytest.param(forged(*[[f"{ROOT}a", "eA=="]] * 2), "one is there twice", id="twice"),
        pytest.param(
            forged([f"{ROOT}a", base64.b64encode(bytes(300_000)).decode()]), "at most 262144", id="too-large"
        ),
        pytest.param(
            archive.MAGIC + b" " + hashlib.sha256(b"\xff").hexdigest().encode() + b"\n\xff",
            "is no whole export",
            id="no-text",
        ),
    ],
)
def test_a_file_that_nobody_exported_is_refused_before_anything_is_written(
    tmp_path: Path, content: bytes, words: str
) -> None:
    file = tmp_path / "backup"
    file.write_bytes(content)
    with pytest.raises(StoreError, match=re.escape(words)) as refused:
        archive.read(file)
    assert str(refused.value).startswith(f"{file}: ")
    assert "\n" not in str(refused.value)


async def test_a_backup_of_a_newer_release_is_not_imported(stores: tuple[Store, Store]) -> None:
    newer = json.dumps({"version": 99, "reads": 99}).encode()
    made = archive.Archive(ROOT, 1, ((LAYOUT.schema, newer),))
    with pytest.raises(NewerSchema, match="upgrade it; nothing was changed"):
        await moving.restore(stores[0], made)
    assert (await stores[0].list(ROOT)).entries == ()


async def test_an_export_of_nothing_is_no_export(stores: tuple[Store, Store]) -> None:
    with pytest.raises(StoreError, match="is it the right registry"):
        await moving.export(stores[0], ROOT)


async def test_a_migration_follows_until_it_is_ended(stores: tuple[Store, Store]) -> None:
    old, new = stores
    await fill(old)
    told: list[moving.Moved] = []
    running = asyncio.ensure_future(moving.migrate(old, new, ROOT, told.append))
    for number in range(100):
        await old.put(LAYOUT.config("virtualservices", "shop", f"v{number % 30}"), b'{"later": %d}' % number)
        if number % 10 == 0:
            await old.delete(LAYOUT.config("virtualservices", "shop", f"v{100 + number}"))
        await asyncio.sleep(0)
    wanted = await content(old)
    async with asyncio.timeout(20):
        while not (told and told[-1].digest == archive.digest_of(sorted(wanted.items()))):
            await asyncio.sleep(0.05)
    assert await content(new) == wanted
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_a_migration_stops_where_somebody_else_writes(stores: tuple[Store, Store]) -> None:
    old, new = stores
    await fill(old, 3)
    told: list[moving.Moved] = []
    running = asyncio.ensure_future(moving.migrate(old, new, ROOT, told.append))
    async with asyncio.timeout(20):
        while not told:
            await asyncio.sleep(0.02)
    key = LAYOUT.config("virtualservices", "shop", "v1")
    await new.put(key, b"galleyd is here already")
    await old.put(key, b"too late")
    with pytest.raises(StoreError, match="somebody else writes to the target"):
        await asyncio.wait_for(running, 20)
    assert (await new.get(key)).value == b"galleyd is here already"


async def test_a_registry_of_a_release_without_schema_is_taken_over_whole(
    stores: tuple[Store, Store],
) -> None:
    old, _ = stores
    await fill(old)
    before = await content(old)
    await admit(old, ROOT)
    await stamp(old, ROOT)
    await stamp(old, ROOT)
    after = await content(old)
    assert Schema.of(await old.get(LAYOUT.schema)).version == VERSION
    assert {key: value for key, value in after.items() if key != LAYOUT.schema} == before


async def test_a_newer_schema_is_refused_and_left(tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path}/mesh.db"
    store = await open_store(url)
    await store.put(LAYOUT.schema, NEWER)
    for work in (
        admit(store, ROOT),
        stamp(store, ROOT),
        keep_schema(store, ROOT),
        open_registry(url, "default"),
    ):
        with pytest.raises(NewerSchema, match="needs a release of schema 9 or newer"):
            await work
    with pytest.raises(NewerSchema):
        await moving.export(store, ROOT)
    assert (await store.get(LAYOUT.schema)).value == NEWER
    await store.close()


async def test_a_newer_release_may_be_readable(stores: tuple[Store, Store]) -> None:
    value = b'{"version": 2, "reads": 1}'
    await stores[0].put(LAYOUT.schema, value)
    await admit(stores[0], ROOT)
    await stamp(stores[0], ROOT)
    assert (await stores[0].get(LAYOUT.schema)).value == value


async def test_a_daemon_ends_when_a_newer_release_takes_over(stores: tuple[Store, Store]) -> None:
    running = asyncio.ensure_future(guard(stores[0], ROOT))
    await asyncio.sleep(0.05)
    assert not running.done()
    await stores[0].put(LAYOUT.schema, NEWER)
    with pytest.raises(NewerSchema):
        await asyncio.wait_for(running, 20)


async def test_what_is_wrong_is_named(stores: tuple[Store, Store]) -> None:
    store, _ = stores
    await fill(store, 3)
    assert all(one.ok for one in await inspect(store, "memory://", "default"))
    await store.put(ROOT + "strange/key", b"x")
    await store.put(LAYOUT.config("virtualservices", "shop", "v1"), b"\xff")
    await store.put(LAYOUT.schema, NEWER)
    found = {one.name: one.detail for one in await inspect(store, "memory://", "default") if not one.ok}
    assert set(found) == {"schema", "foreign keys", "values"}
    assert "strange/key" in found["foreign keys"]
    assert "v1: not readable" in found["values"]
    assert await store.get(ROOT + "strange/key") is not None


class Scripted:
    """A registry whose watch says what it was told to say."""

    def __init__(self, *items: WatchItem) -> None:
        self._items = items

    async def watch(self, prefix: str) -> AsyncIterator[WatchItem]:
        for item in self._items:
            yield item


async def test_a_silent_registry_is_said_with_its_reason_until_it_speaks() -> None:
    told: list[str] = []
    position = Position("e", 1)
    await guard(
        Scripted(
            Snapshot((), position),
            Stale(21.0, "etcd h:2379: etcdserver: permission denied"),
            Stale(23.0),
            Bookmark(position),
        ),
        ROOT,
        told.append,
    )
    assert told == ["", "etcd h:2379: etcdserver: permission denied", "it does not answer", ""]
