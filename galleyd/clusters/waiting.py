"""Waiting for changes, which come in crowds."""

from __future__ import annotations

import asyncio
from contextlib import suppress


async def something(some: asyncio.Event, *, within: float, pause: float) -> None:
    """Return when something happened, with all that came in the `pause` seconds after it, or after `within`
    seconds without anything."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within):
            await some.wait()
    await asyncio.sleep(pause)
    some.clear()
