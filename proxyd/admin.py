"""Envoy's admin interface: the few questions that proxyd asks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp

T = TypeVar("T")
PATIENCE = aiohttp.ClientTimeout(total=2)
ADOPT_TRIES, ADOPT_PAUSE = 20, 0.2
"""How often, and how many seconds apart, an Envoy from before is asked who it is."""
SCRAPE = aiohttp.ClientTimeout(total=20)


@dataclass(frozen=True, slots=True)
class Said:
    """An answer."""

    status: int
    text: str


@dataclass(frozen=True, slots=True)
class Admin:
    """The admin of one Envoy. Every question is bounded; no answer is an answer (None or False)."""

    http: aiohttp.ClientSession
    url: str
    doors: str = "inbound_"
    """How listeners for peers begin in statistics; a gateway's are named as for outbound requests."""

    async def state(self) -> str | None:
        """LIVE, DRAINING, PRE_INITIALIZING or INITIALIZING; None when it does not answer."""
        said = await self._get("/ready")
        return said.text.strip() if said else None

    async def node(self) -> str | None:
        """The id of the node that it serves; None when it does not answer."""
        return await self._told(lambda info: str(info["node"]["id"]))

    async def hot_restart_version(self) -> str | None:
        """Which other Envoys it hands over to; None when it does not answer."""
        return await self._told(lambda info: str(info["hot_restart_version"]), patience=SCRAPE)

    async def obstacle(self, node: str) -> str:
        """Why an Envoy that runs is not one for this node; empty when it is."""
        found = None
        for _ in range(ADOPT_TRIES):
            if (found := await self.node()) is not None:
                break
            await asyncio.sleep(ADOPT_PAUSE)
        if found != node:
            return "its admin does not answer"
        return "it is draining" if await self.state() == "DRAINING" else ""

    async def epoch(self) -> int | None:
        """How many Envoys were there before it in a row of hot restarts; None when it does not answer."""
        return await self._told(lambda info: int(info["command_line_options"].get("restart_epoch", 0)))

    async def statistics(self) -> str | None:
        """Its metrics as Prometheus text; None when it does not answer."""
        return await self._metrics()

    async def counted(self, name: str) -> str | None:
        """The metrics with this name, as Prometheus text; None when it does not answer."""
        return await self._metrics(f"&filter={name}")

    async def active(self) -> int | None:
        """Requests of peers that are under way; None when it does not answer."""
        return await self._sum("downstream_rq_active")

    async def requests(self) -> int | None:
        """Requests of peers so far; None when it does not answer."""
        return await self._sum("downstream_rq_total")

    async def tell(self, path: str) -> bool:
        """Ask it to do something; whether it said that it did."""
        try:
            async with self.http.post(self.url + path, timeout=PATIENCE) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def _told(
        self, read: Callable[[Any], T], *, patience: aiohttp.ClientTimeout = PATIENCE
    ) -> T | None:
        """What `read` finds in what it says of itself."""
        said = await self._get("/server_info", patience=patience)
        try:
            return read(json.loads(said.text)) if said else None
        except (ValueError, KeyError, TypeError):
            return None

    async def _metrics(self, more: str = "") -> str | None:
        said = await self._get(f"/stats/prometheus?usedonly{more}", patience=SCRAPE)
        return said.text if said and said.status == 200 else None

    async def _sum(self, statistic: str) -> int | None:
        said = await self._get(f"/stats?filter=^http\\.{self.doors}.*{statistic}$")
        try:
            return sum(int(line.rpartition(": ")[2]) for line in said.text.splitlines()) if said else None
        except ValueError:
            return None

    async def _get(self, path: str, *, patience: aiohttp.ClientTimeout = PATIENCE) -> Said | None:
        try:
            async with self.http.get(self.url + path, timeout=patience) as answer:
                return Said(answer.status, await answer.text())
        except (aiohttp.ClientError, TimeoutError, OSError, UnicodeDecodeError):
            return None
