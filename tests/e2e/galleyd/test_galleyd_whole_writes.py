"""F28: galleyd dies in the middle of large transactions; who reads etcd sees the old state or the new one."""

from __future__ import annotations

import asyncio
import http.client
import json
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from required_servers import require_etcd
from served import Galleyd
from servers import Etcd
from test_galleyd_durability import ask

from artemon.pki.signing import split
from artemon.store.api import Batch, Deleted, Entry, Snapshot
from artemon.store.layout import Layout
from artemon.store.open import open_store
from artemon.store.whole import Whole

pytestmark = pytest.mark.etcd
ROUNDS, EACH = 2, 6
"""How often galleyd is killed; transactions in between."""
CONFIGS = Layout().configs


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[Etcd]:
    require_etcd()
    server = Etcd(tmp_path / "etcd").start()
    yield server
    server.kill()


def generation(number: int, count: int) -> dict[str, Any]:
    """One transaction that writes all objects anew."""
    return {
        "objects": [
            {
                "apiVersion": "networking.istio.io/v1",
                "kind": "DestinationRule",
                "metadata": {"name": f"d{name}", "namespace": "shop", "labels": {"generation": str(number)}},
                "spec": {"host": f"d{name}"},
            }
            for name in range(count)
        ]
    }


class Reader(threading.Thread):
    """Watches the objects from the outside. torn: states that were no whole generation. seen: those that
    were, in order."""

    def __init__(self, url: str, count: int) -> None:
        super().__init__()
        self._count = count
        self.torn, self.seen, self.stop = list[str](), list[int](), threading.Event()
        self._url, self._state = url, dict[str, int]()

    def run(self) -> None:
        """See `Thread`."""
        asyncio.run(self._read())

    async def _read(self) -> None:
        store = Whole(await open_store(self._url), Layout())
        watching = asyncio.ensure_future(self._watch(store))
        while not self.stop.is_set():
            await asyncio.sleep(0.05)
        watching.cancel()
        await asyncio.wait([watching])
        await store.close()

    async def _watch(self, store: Any) -> None:
        async for item in store.watch(CONFIGS):
            if isinstance(item, Snapshot):
                self._state = {}
            for change in (
                item.entries
                if isinstance(item, Snapshot)
                else item.changes
                if isinstance(item, Batch)
                else ()
            ):
                self._take(change)
            found = set(self._state.values())
            if len(found) > 1 or len(self._state) not in {0, self._count}:
                self.torn.append(f"{len(self._state)} objects of {sorted(found)}")
            elif found:
                self.seen += found

    def _take(self, change: Entry | Deleted) -> None:
        if isinstance(change, Deleted):
            self._state.pop(change.key, None)
        else:
            labels = json.loads(split(change.value)[0])["metadata"]["labels"]
            self._state[change.key] = int(labels["generation"])


@pytest.mark.parametrize("count", [60, 200], ids=["one_transaction", "staged"])
def test_a_large_transaction_is_seen_whole_or_not_at_all(etcd: Etcd, tmp_path: Path, count: int) -> None:
    chance, done = random.Random(28), list[int]()
    server, reader = Galleyd(tmp_path, etcd.url), Reader(etcd.url, count)
    reader.start()
    number = 0
    try:
        for _ in range(ROUNDS):
            server.start()
            until, killer = len(done) + EACH, threading.Timer(chance.uniform(1.0, 3.0), server.kill)
            try:
                while True:
                    if len(done) == until:
                        killer.start()
                    number += 1
                    ask(server, "POST", "/artemon/v1/transactions", generation(number, count))
                    done.append(number)
            except (OSError, http.client.HTTPException, ValueError):
                killer.join()
        server.start()
        listed = ask(server, "GET", "/apis/networking.istio.io/v1/namespaces/shop/destinationrules")["items"]
        kept = {int(item["metadata"]["labels"]["generation"]) for item in listed}
        assert len(listed) == count
        assert len(kept) == 1
        assert kept.pop() >= done[-1], "what was acknowledged stays"
        assert server.stop() == 0
    finally:
        reader.stop.set()
        reader.join()
    assert reader.torn == []
    assert set(reader.seen) & set(done)
