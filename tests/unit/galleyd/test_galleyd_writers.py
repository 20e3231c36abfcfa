"""Several writers of one registry: nobody's write is lost, and history has every one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from galley_api import virtual_service

from artemon.errors import Unknown
from artemon.model.kinds import VIRTUAL_SERVICE
from artemon.store.api import Store
from artemon.store.layout import Layout
from artemon.store.open import open_store
from galleyd import history
from galleyd.admission import Admission
from galleyd.edits import Edits, How, Preconditions
from galleyd.keys import Keys
from galleyd.objects import Ref, Stored
from galleyd.status import ApiError
from galleyd.writer import Writer

HOW = How(who="test")
REF = Ref(VIRTUAL_SERVICE, "shop", "reviews")


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    opened = await open_store("memory://")
    yield opened
    await opened.close()


def edits(store: Store) -> Edits:
    return Edits(Writer(store, Keys()), Admission(()))


def add_host(name: str) -> Any:
    def edit(stored: Stored) -> dict[str, Any]:
        spec = {**stored.object["spec"], "hosts": [*stored.object["spec"]["hosts"], name]}
        return {**stored.object, "spec": spec}

    return edit


class Conflicted(Exception):
    """Somebody else wrote five times in between; a client tries again."""


async def patched(replica: Edits, host: str) -> Any:
    try:
        return await replica.change(REF, add_host(host), HOW)
    except ApiError as refusal:
        raise (Conflicted() if refusal.code == 409 else refusal) from None


async def test_replicas_that_patch_one_object_lose_nothing(store: Store) -> None:
    replicas = [edits(store) for _ in range(3)]
    await replicas[0].create(REF, virtual_service(), HOW)

    async def patch(number: int) -> None:
        done = False
        while not done:
            with suppress(Conflicted):
                done = bool(await patched(replicas[number % 3], f"host-{number}"))

    await asyncio.gather(*(patch(number) for number in range(12)))
    stored = await replicas[0].writer.read(REF)
    assert stored is not None
    assert set(stored.object["spec"]["hosts"]) == {"reviews", *(f"host-{number}" for number in range(12))}
    records = [
        history.decode(entry.value) for entry in (await store.list("artemon/default/history/")).entries
    ]
    assert len(records) == 13
    for earlier, later in pairwise(records[1:]):
        assert earlier["changes"][0]["after"] == later["changes"][0]["before"]


async def test_only_one_of_two_creators_wins(store: Store) -> None:
    creators = [edits(store).create(REF, virtual_service(), HOW) for _ in range(2)]
    outcomes = await asyncio.gather(*creators, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["ApiError", "Outcome"]


class Silent:
    """A registry whose connection breaks after (or before) a transaction is applied."""

    def __init__(self, store: Store, *, applied: bool) -> None:
        self._store, self._applied = store, applied

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def txn(self, checks: Any, ops: Any) -> Any:
        if self._applied:
            await self._store.txn(checks, ops)
        raise Unknown("the connection broke")


async def test_a_write_of_unknown_outcome_is_found_in_history(store: Store) -> None:
    outcome = await edits(Silent(store, applied=True)).create(REF, virtual_service(), HOW)  # type: ignore[arg-type]
    stored = await edits(store).writer.read(REF)
    assert stored is not None
    assert stored.version == outcome.stored.version


async def test_a_write_that_may_still_come_is_said_to_be_unknown(store: Store) -> None:
    with pytest.raises(ApiError, match="read before writing again") as refusal:
        await edits(Silent(store, applied=False)).create(REF, virtual_service(), HOW)  # type: ignore[arg-type]
    assert refusal.value.code == 504


async def test_a_delete_insists_on_its_preconditions(store: Store) -> None:
    one = edits(store)
    made = await one.create(REF, virtual_service(), HOW)
    with pytest.raises(ApiError):
        await one.delete(REF, HOW, Preconditions(version="99"))
    await one.delete(REF, HOW, Preconditions(version=str(made.stored.version)))
    assert await one.writer.read(REF) is None


async def test_history_is_trimmed_to_its_limit(store: Store) -> None:
    one = edits(store)
    for number in range(5):
        await one.create(Ref(VIRTUAL_SERVICE, "shop", f"v{number}"), virtual_service(f"v{number}"), HOW)
    prefix = "artemon/default/history/"
    assert await history.trim_once(store, prefix, 2) == 3
    names = [
        history.decode(entry.value)["changes"][0]["name"] for entry in (await store.list(prefix)).entries
    ]
    assert names == ["v3", "v4"]


async def test_history_goes_on_where_the_registry_was_moved_to_another(store: Store) -> None:
    """Its revisions begin anew; the records that came along have the old ones."""
    layout = Layout()
    await store.put(layout.history(1_000_000), b"{}")
    await edits(store).create(REF, virtual_service(), HOW)
    keys = [entry.key for entry in (await store.list(layout.histories)).entries]
    assert keys == [layout.history(1_000_000), layout.history(1_000_001)]
