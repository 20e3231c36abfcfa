"""Tells a cluster what became of its objects: their status, written when it says something new."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from artemon.errors import ArtemonError
from artemon.kube.client import MERGE, Client, path_of
from artemon.kube.failures import Rejected, missing_rule
from artemon.log import Log
from galleyd.clusters.conditions import Verdict, says_the_same, status_of
from galleyd.feed import Feed
from galleyd.objects import Object, Ref
from galleyd.progress import Progress, Statuses, progress

PAUSE = 0.5
"""Seconds between two rounds: proxies answer meanwhile."""
RETRY = 5.0


def utc_now() -> str:
    """RFC 3339."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class Teller:
    """seen: the object as the cluster has it now. proxies: what pilotd tells of the connected ones."""

    def __init__(
        self,
        client: Client,
        seen: Callable[[Ref], Object | None],
        proxies: Feed,
        log: Log,
        *,
        now: Callable[[], str] = utc_now,
    ) -> None:
        self._client, self._seen, self._proxies, self._log, self._now = client, seen, proxies, log, now
        self._statuses = Statuses()
        self._open: dict[Ref, Verdict] = {}
        self._some = asyncio.Event()

    def tell(self, ref: Ref, verdict: Verdict) -> None:
        """This is what became of it."""
        self._open[ref] = verdict
        self._some.set()

    def forget(self, ref: Ref) -> None:
        """It is not there any more."""
        self._open.pop(ref, None)

    async def run(self) -> None:
        """Write until cancelled. What is not settled yet is looked at again whenever a proxy answered."""
        while True:
            if not self._open:
                self._some.clear()
                await self._some.wait()
            await asyncio.sleep(PAUSE)
            failed = await self._round()
            if self._open:
                await self._proxies.moved(RETRY if failed else RETRY * 2)

    async def _round(self) -> bool:
        """Write what is to be said; whether something could not be written."""
        statuses, failed = self._statuses.read(self._proxies.values()), False
        for ref, verdict in list(self._open.items()):
            reached = progress(statuses, verdict.revision) if verdict.accepted else None
            settled = reached is None or (reached.settled and not reached.nacks)
            done = await self._write(ref, verdict, reached)
            failed = failed or not done
            if done and settled and self._open.get(ref) is verdict:
                del self._open[ref]
        return failed

    async def _write(self, ref: Ref, verdict: Verdict, reached: Progress | None) -> bool:
        obj = self._seen(ref)
        if obj is None:
            return True
        before: Any = obj.get("status")
        after = status_of(verdict, reached, before, now=self._now())
        if says_the_same(before, after):
            return True
        path = f"{path_of(ref.kind, ref.namespace, ref.name)}/status"
        try:
            await self._client.request("PATCH", path, body={"status": after}, media=MERGE)
        except Rejected as error:
            if error.code == 404:
                return True
            what = f'apiGroups: ["{ref.kind.group}"], resources: ["{ref.kind.plural}/status"]'
            reason = missing_rule(error, f"{{{what}, verbs: [patch]}}")
            self._log.warning("status_not_written", object=ref, reason=reason)
            return False
        except ArtemonError as error:
            self._log.warning("status_not_written", object=ref, reason=error)
            return False
        obj["status"] = after
        return True
