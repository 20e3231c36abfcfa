"""Ending background work."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from artemon.store import tasks


async def test_a_task_that_forgets_its_cancellation_is_cancelled_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tasks, "CANCEL_AGAIN", 0.01)

    async def forgets() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    work = tasks.Background()
    task = work.start(forgets(), name="forgets")
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await work.close()
    assert task.cancelled()
