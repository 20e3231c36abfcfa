"""The ACL token, from a file that somebody may write anew at any time."""

from __future__ import annotations

import asyncio
from pathlib import Path

from artemon.errors import StoreError
from artemon.store import address, clock

LOOK_EVERY = 1.0
"""Seconds between two looks at the file, at least."""


class Token:
    """What the file holds, at most a second old."""

    def __init__(self, file: Path | None) -> None:
        self._file, self._value, self._looked = file, "", float("-inf")

    async def read(self, *, now: bool = False) -> str:
        """The token, "" when there is no file. now: look at once. Raises StoreError when it cannot be read at
        the first time; later the last one stands."""
        if self._file is None:
            return ""
        if now or clock.now() - self._looked >= LOOK_EVERY:
            self._looked = clock.now()
            try:
                found = await asyncio.to_thread(address.read, self._file, "consul")
            except StoreError:
                if not self._value:
                    raise
            else:
                self._value = (found or b"").decode("utf-8", "replace").strip() or self._value
        return self._value
