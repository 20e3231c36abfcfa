"""A call of Consul's that is cancelled in the moment in which its time is over ends as cancelled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from artemon.registry.consul.client import Client
from artemon.registry.consul.settings import ConsulSettings
from artemon.store.consul.agents import Agents, Request
from artemon.store.consul.settings import Access

SECONDS = 0.5
Call = Callable[[], Awaitable[object]]


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """Somebody who takes connections and says nothing."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    yield "127.0.0.1:{1}".format(*server.sockets[0].getsockname())
    server.close()


@asynccontextmanager
async def the_store(address: str) -> AsyncIterator[Call]:
    agents = Agents([address], Access(None, "", None), timeout=SECONDS)
    yield lambda: agents.call(Request("PUT", "/v1/txn", b"[]", safe=False))
    await agents.close()


@asynccontextmanager
async def the_catalog(address: str) -> AsyncIterator[Call]:
    async with Client(f"consul://{address}", ConsulSettings(timeout=SECONDS)) as client:
        yield lambda: client.get("/v1/catalog/services")


@pytest.mark.parametrize("client", [the_store, the_catalog])
async def test_a_cancellation_is_not_forgotten(client: Callable[[str], object]) -> None:
    async with silent() as address, client(address) as call:  # type: ignore[attr-defined]
        task = asyncio.ensure_future(call())
        await asyncio.sleep(SECONDS / 2)
        asyncio.get_running_loop().call_later(SECONDS * 0.7, task.cancel)
        time.sleep(SECONDS)  # the end of its time and the cancellation are due at once, in this order
        await asyncio.wait([task])
        assert task.cancelled()
