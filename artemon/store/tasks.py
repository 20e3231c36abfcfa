"""The background work of an object that is opened and closed, such as a store."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any

from artemon.errors import StoreError, Unavailable
from artemon.log import Log

log = Log("artemon.store")


CANCEL_AGAIN = 10.0
"""Seconds after which a task that goes on is cancelled again."""


async def end(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel the tasks and wait until they have ended. One that forgot it, as a library's timeout that ends
    in the same moment can make it, is cancelled again."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN)


class Background:
    """Tasks that live until `close()`. One that fails is logged and remembered in `failure`: the owner's next
    call raises it, so that nothing goes on half alive."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self.failure: BaseException | None = None
        self.closed = False

    def check(self) -> None:
        """Raises Unavailable after `close`, StoreError after a failure."""
        if self.closed:
            raise Unavailable("the registry is closed")
        if self.failure is not None:
            raise StoreError(f"the registry client failed: {self.failure!r}; restart") from self.failure

    def start(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Run `work` beside its owner."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        self.failure = self.failure or error
        log.error("background_task_failed", task=task.get_name(), error=repr(error))

    async def close(self) -> None:
        """Stop everything and wait until it has stopped; what tasks do while ending is still let through."""
        await end(list(self._tasks))
        self.closed = True
