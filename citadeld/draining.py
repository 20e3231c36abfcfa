"""Ending open connections of revoked certificates: everyone's chains of listeners change, once the revocation
lists are in force there, so that whoever comes back is refused.

`trust/revoked/drain` says up to which revocation that was done. It stays when records go, or
connections would be ended for nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from artemon.model.trust import DRAIN, SERIALS
from artemon.pki.errors import CertificateRefused
from artemon.pki.revocation import Revocation
from artemon.store.api import Put, Store

CONFIRM_SECONDS = 2.0
"""How long proxies may take to confirm the lists; whoever takes longer is drained all the same."""
LATE_SECONDS = 15.0
"""After that, who revoked is not coming back to it."""
POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Draining:
    """Says when connections have to end. now: the time of day, with its zone."""

    store: Store
    prefix: str
    now: Callable[[], datetime]

    def put(self, at: datetime) -> Put:
        """What is to be written for what was revoked until `at`."""
        return Put(self.prefix + DRAIN, json.dumps({"at": at.isoformat()}).encode())

    async def drain(self, revision: int) -> int:
        """End connections when every connected proxy has confirmed `revision` of the lists, or the time is
        over; the revision at which that was said. Raises StoreError."""
        began = self.now()
        deadline = asyncio.get_running_loop().time() + CONFIRM_SECONDS
        loop = asyncio.get_running_loop()
        while loop.time() < deadline and await self._is_behind(revision):  # noqa: ASYNC110 - it is elsewhere
            await asyncio.sleep(POLL_SECONDS)
        return (await self.store.txn((), [self.put(began)])).position.revision

    async def catch_up(self) -> bool:
        """Do what a replica that stopped in between left undone; whether there was anything. Raises
        StoreError."""
        newest, done = await self._newest(), await self._done()
        if newest is None or (done is not None and newest <= done):
            return False
        if self.now() - newest < timedelta(seconds=LATE_SECONDS):
            return False
        await self.store.txn((), [self.put(self.now())])
        return True

    async def _is_behind(self, revision: int) -> bool:
        for entry in (await self.store.list(f"{self.prefix}status/proxies/")).entries:
            try:
                if int(json.loads(entry.value)["trust"]["revoked"]) < revision:
                    return True
            except (ValueError, TypeError, KeyError):
                return True
        return False

    async def _newest(self) -> datetime | None:
        found = []
        for entry in (await self.store.list(self.prefix + SERIALS)).entries:
            try:
                found.append(datetime.fromisoformat(Revocation.decode(entry.value).at))
            except (CertificateRefused, ValueError):
                continue
        return max(found, default=None)

    async def _done(self) -> datetime | None:
        entry = await self.store.get(self.prefix + DRAIN)
        try:
            return None if entry is None else datetime.fromisoformat(str(json.loads(entry.value)["at"]))
        except (ValueError, TypeError, KeyError):
            return None
