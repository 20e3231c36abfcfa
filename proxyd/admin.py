"""Envoy's admin interface: the few questions that proxyd asks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import aiohttp

PATIENCE = aiohttp.ClientTimeout(total=2)
ADOPT_TRIES, ADOPT_PAUSE = 20, 0.2
"""How often, and how many seconds apart, an Envoy from before is asked who it is."""
SCRAPE = aiohttp.ClientTimeout(total=20)


@dataclass(frozen=True, slots=True)
class Admin:
    """The admin of one Envoy. Every question is bounded; no answer is an answer (None or False)."""

    http: aiohttp.ClientSession
    url: str
    doors: str = "inbound_"
    """How listeners for peers begin in statistics; a gateway's are named as for outbound requests."""

    async def state(self) -> str | None:
        """LIVE, DRAINING, PRE_INITIALIZING or INITIALIZING; None when it does not answer."""
        try:
            async with self.http.get(f"{self.url}/ready", timeout=PATIENCE) as answer:
                return (await answer.text()).strip()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    async def node(self) -> str | None:
        """The id of the node that it serves; None when it does not answer."""
        try:
            async with self.http.get(f"{self.url}/server_info", timeout=PATIENCE) as answer:
                return str((await answer.json(content_type=None))["node"]["id"])
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError):
            return None

    async def hot_restart_version(self) -> str | None:
        """Which other Envoys it hands over to; None when it does not answer."""
        try:
            async with self.http.get(f"{self.url}/server_info", timeout=SCRAPE) as answer:
                return str((await answer.json(content_type=None))["hot_restart_version"])
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError):
            return None

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
        try:
            async with self.http.get(f"{self.url}/server_info", timeout=PATIENCE) as answer:
                found = (await answer.json(content_type=None))["command_line_options"]
                return int(found.get("restart_epoch", 0))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError):
            return None

    async def statistics(self) -> str | None:
        """Its metrics as Prometheus text; None when it does not answer."""
        try:
            async with self.http.get(f"{self.url}/stats/prometheus?usedonly", timeout=SCRAPE) as answer:
                return await answer.text() if answer.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    async def counted(self, name: str) -> str | None:
        """The metrics with this name, as Prometheus text; None when it does not answer."""
        url = f"{self.url}/stats/prometheus?usedonly&filter={name}"
        try:
            async with self.http.get(url, timeout=SCRAPE) as answer:
                return await answer.text() if answer.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    async def active(self) -> int | None:
        """Requests of peers that are under way; None when it does not answer."""
        return await self._sum("downstream_rq_active")

    async def requests(self) -> int | None:
        """Requests of peers so far; None when it does not answer."""
        return await self._sum("downstream_rq_total")

    async def _sum(self, statistic: str) -> int | None:
        path = f"/stats?filter=^http\\.{self.doors}.*{statistic}$"
        try:
            async with self.http.get(self.url + path, timeout=PATIENCE) as answer:
                return sum(int(line.rpartition(": ")[2]) for line in (await answer.text()).splitlines())
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return None

    async def tell(self, path: str) -> bool:
        """Ask it to do something; whether it said that it did."""
        try:
            async with self.http.post(self.url + path, timeout=PATIENCE) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False
