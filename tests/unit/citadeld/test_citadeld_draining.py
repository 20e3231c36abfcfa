"""Open connections of a revoked certificate are ended after everyone has the lists, and once."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sealed_rig import CART, ROOT, Replica, replica

from artemon.model.trust import DRAIN
from artemon.store.api import Store
from artemon.store.open import open_store
from citadeld.draining import Draining

PROXY = ROOT + "status/proxies/one.shop"


async def confirmed(store: Store, revision: int) -> None:
    await store.put(PROXY, json.dumps({"trust": {"bundle": 0, "revoked": revision}}).encode())


async def told(one: Replica) -> str:
    entry = await one.store.get(ROOT + DRAIN)
    return json.loads(entry.value)["at"] if entry else ""


async def issue(one: Replica, serial: str, hours: float = 1) -> None:
    now = datetime.now(UTC)
    (issuer,) = [key.rpartition("/")[2] for key in one.store.lasting(f"{ROOT}trust/revoked/lists/")]
    fields = {
        "identity": str(CART),
        "node": "",
        "issuer": issuer,
        "notBefore": now.isoformat(),
        "notAfter": (now + timedelta(hours=hours)).isoformat(),
        "issued": now.isoformat(),
    }
    await one.store.put(f"{ROOT}trust/issued/{serial}", json.dumps(fields).encode())


async def started(store: Store, folder: Path) -> Replica:
    one = await replica(store, folder).start()
    await one.revoker.sign_lists()
    return one


async def test_connections_end_when_everyone_has_the_lists(tmp_path: Path) -> None:
    store = await open_store("memory://")
    one = await started(store, tmp_path / "a")
    await issue(one, "abc")
    await confirmed(store, 0)
    revoking = asyncio.create_task(one.revoker.revoke_serial("abc", by="root", reason=""))
    while not (await one.store.list(f"{ROOT}trust/revoked/serials/")).entries:
        await asyncio.sleep(0.01)
    assert await told(one) == "", "whoever came back now would be let in"
    await confirmed(store, 10**9)
    done = await revoking
    assert await told(one) != ""
    assert done.revision == (await store.get(ROOT + DRAIN)).version, "the answer waits for that too"
    await store.close()


async def test_a_ban_ends_them_at_once_and_once(tmp_path: Path) -> None:
    store = await open_store("memory://")
    one = await started(store, tmp_path / "a")
    await issue(one, "abc")
    await confirmed(store, 0)
    await one.revoker.ban(CART, by="root", reason="")
    first = await told(one)
    assert first
    later = Draining(one.store, ROOT, lambda: datetime.now(UTC) + timedelta(hours=1))
    assert not await later.catch_up()
    await one.revoker.reinstate(CART)
    assert not await later.catch_up()
    assert await told(one) == first
    await store.close()


async def test_what_a_replica_left_undone_another_does(tmp_path: Path) -> None:
    store = await open_store("memory://")
    one = await started(store, tmp_path / "a")
    await issue(one, "abc")
    await one.revoker._revoke(await one.revoker.issued(), by="root", reason="")
    assert not await one.revoker.draining.catch_up(), "who revoked is at it"
    later = Draining(one.store, ROOT, lambda: datetime.now(UTC) + timedelta(seconds=20))
    assert await later.catch_up()
    assert not await later.catch_up()
    await store.close()


async def test_nothing_ends_when_records_go(tmp_path: Path) -> None:
    store = await open_store("memory://")
    one = await started(store, tmp_path / "a")
    await issue(one, "abc")
    await one.revoker.revoke_serial("abc", by="root", reason="")
    at = await told(one)
    late = replica(store, tmp_path / "a")
    revoker = late.revoker
    assert await revoker.sweep(timedelta(hours=-2)) == 1
    assert not (await one.store.list(f"{ROOT}trust/revoked/serials/")).entries
    assert await told(one) == at
    await store.close()
