"""Elections: one leader at a time, and no write by one that was deposed."""

from __future__ import annotations

import asyncio
import signal

import pytest
from conftest import CONSUL, CONSUL_SECURE, ETCD, SQLITE
from observe import actor, line_of, wait_set

from artemon.errors import StoreError
from artemon.store.api import Put, Store


async def test_one_of_three_leads_and_the_next_follows(store: Store, other: Store, prefix: str) -> None:
    role = prefix + "role"
    candidates = [await where.elect(role, str(n), 2) for n, where in enumerate((store, other, store))]
    fences: list[int] = []
    while candidates:
        await asyncio.wait(
            [asyncio.ensure_future(wait_set(one.leading, 8)) for one in candidates],
            return_when=asyncio.FIRST_COMPLETED,
        )
        leaders = [one for one in candidates if one.leading.is_set()]
        assert len(leaders) == 1
        fences.append(leaders[0].check().created)
        assert (await store.txn([leaders[0].check()], [Put(prefix + "x", b"")])).ok
        await leaders[0].resign()
        assert (leaders[0].lost.is_set(), leaders[0].leading.is_set()) == (True, False)
        candidates.remove(leaders[0])
    assert fences == sorted(set(fences))


async def test_the_fence_of_a_leader_that_resigned_is_refused(store: Store, prefix: str) -> None:
    election = await store.elect(prefix + "role", "one", 2)
    await wait_set(election.leading, 5)
    fence = election.check()
    await election.resign()
    assert not (await store.txn([fence], [Put(prefix + "x", b"")])).ok
    with pytest.raises(StoreError, match="does not lead"):
        election.check()


async def test_a_leader_whose_key_is_deleted_steps_down_and_campaigns_again(
    store: Store, prefix: str
) -> None:
    election = await store.elect(prefix + "role", "one", 2)
    await wait_set(election.leading, 5)
    fence = election.check()
    await store.delete(prefix + "role")
    await wait_set(election.lost, 5)
    await wait_set(election.leading, 8)
    assert election.check().created > fence.created
    assert not election.lost.is_set()


@pytest.mark.parametrize("backend", [SQLITE, ETCD, CONSUL, CONSUL_SECURE], indirect=True)
async def test_a_paused_leader_is_replaced_and_cannot_write(store: Store, url: str, prefix: str) -> None:
    role = prefix + "role"
    async with actor("lead", url, role) as paused:
        fence = int(await line_of(paused))
        paused.send_signal(signal.SIGSTOP)
        election = await store.elect(role, "here", 2)
        await wait_set(election.leading, 12)
        assert election.check().created > fence
        assert (await store.txn([election.check()], [Put(role + "-done", b"here")])).ok
        paused.send_signal(signal.SIGCONT)
        paused.stdin.write(b"\n")
        assert (await line_of(paused)).split()[0] == "refused"
        paused.stdin.write(b"\n")
        assert (await line_of(paused)) == "refused lost"
        assert (await store.get(role + "-done")).value == b"here"
