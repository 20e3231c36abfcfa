"""A process that uses a registry, to be killed and paused by tests: python actor.py ROLE URL KEY.

lead: campaigns for KEY, prints the fence when it leads, then writes KEY-done under that fence for each line
that it reads. write: writes KEY-a and KEY-b with the same number in one transaction, for ever, and prints
each number when it is acknowledged. hold: binds KEY to a lease and prints "held".
"""

# ruff: noqa: T201

from __future__ import annotations

import asyncio
import sys

from artemon.errors import StoreError
from artemon.store.api import Put, Store
from artemon.store.open import open_store


async def lead(store: Store, key: str) -> None:
    election = await store.elect(key, "actor", 2)
    await election.leading.wait()
    fence = election.check()
    print(fence.created, flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        try:
            done = (await store.txn([fence], [Put(key + "-done", b"actor")])).ok
        except StoreError:
            done = False
        print(
            "written" if done else "refused", "leading" if election.leading.is_set() else "lost", flush=True
        )


async def write(store: Store, key: str) -> None:
    number = 0
    while True:
        value = str(number).encode()
        await store.txn([], [Put(key + "-a", value), Put(key + "-b", value)])
        print(number, flush=True)
        number += 1


async def hold(store: Store, key: str) -> None:
    lease = await store.lease(2)
    await store.put(key, b"", lease=lease.id)
    print("held", flush=True)
    await asyncio.Event().wait()


async def main() -> None:
    role, url, key = sys.argv[1:]
    await {"lead": lead, "write": write, "hold": hold}[role](await open_store(url), key)


if __name__ == "__main__":
    asyncio.run(main())
