"""What is asked of mixerd: a path with its query to a status and JSON."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, urlsplit

from artemon.errors import ArtemonError
from mixerd.desk import Desk
from mixerd.graph import graph, services
from mixerd.handling import Handlers
from mixerd.history import LONGEST, SHORTEST, History
from mixerd.rules import Rules

WINDOW_SECONDS = 60.0
LIMIT, MOST = 50, 1000
DASHBOARD = "/dashboard"
_NAMED = re.compile(r"/\* (\w+\.(?:css|js)) \*/\n")
Page = Callable[[Mapping[str, str], frozenset[str] | None], Awaitable[Any]]


class Pages:
    """Answers. `namespaces` in a query, which galleyd sets: what the asker may see; absent: everything."""

    def __init__(
        self,
        desk: Desk,
        handlers: Handlers | None = None,
        rules: Rules | None = None,
        history: History | None = None,
    ) -> None:
        self._desk, self._handlers, self._rules = desk, handlers, rules
        self._long = history or History("", desk.now)
        self._table: dict[str, Page] = {
            "graph": self._graph,
            "top": self._top,
            "traces": self._traces,
            "trace": self._trace,
            "logs": self._logs,
            "handlers": self._status,
            "history": self._history,
        }

    async def answer(self, path: str) -> tuple[int, bytes]:
        """`/<page>?<query>`."""
        parts = urlsplit(path)
        if parts.path == DASHBOARD:
            return 200, await asyncio.to_thread(_dashboard)
        page = self._table.get(parts.path.strip("/"))
        if page is None:
            return 404, _body({"error": f"there is no page {parts.path}"})
        query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        seen = query.pop("namespaces", None)
        namespaces = None if seen is None else frozenset(filter(None, seen.split(",")))
        try:
            return 200, _body(await page(query, namespaces))
        except ValueError as error:
            return 400, _body({"error": str(error)})
        except ArtemonError as error:
            return 502, _body({"error": str(error)})

    async def _graph(self, query: Mapping[str, str], namespaces: frozenset[str] | None) -> Any:
        seconds = _seconds(query)
        counts = self._desk.counts.window(seconds, self._desk.now())
        return graph(counts, seconds, namespaces, sides="sides" in query)

    async def _top(self, query: Mapping[str, str], namespaces: frozenset[str] | None) -> Any:
        seconds = _seconds(query)
        counts = self._desk.counts.window(seconds, self._desk.now())
        found = services(counts, seconds, namespaces, sides="sides" in query)
        return {"seconds": seconds, "items": sorted(found, key=lambda one: (-one["calls"], one["name"]))}

    async def _traces(self, query: Mapping[str, str], namespaces: frozenset[str] | None) -> Any:
        return await self._kept(self._desk.keep.traces, query.get("service", ""), namespaces, _limit(query))

    async def _trace(self, query: Mapping[str, str], namespaces: frozenset[str] | None) -> Any:
        return await self._kept(self._desk.keep.trace, query.get("id", ""), namespaces)

    async def _logs(self, query: Mapping[str, str], namespaces: frozenset[str] | None) -> Any:
        where = {name: value for name, value in query.items() if name != "limit" and value}
        return await self._kept(self._desk.keep.calls, where, namespaces, _limit(query))

    async def _status(self, query: Mapping[str, str], namespaces: frozenset[str] | None) -> Any:
        """How handlers do, and rules that cannot be used."""
        items = self._handlers.status() if self._handlers else []
        problems = self._rules.problems() if self._rules else []
        return {
            "items": [one for one in items if _seen(one["name"].partition("/")[0], namespaces)],
            "problems": [one for one in problems if _seen(one["object"].split("/")[-2], namespaces)],
        }

    async def _history(self, query: Mapping[str, str], namespaces: frozenset[str] | None) -> Any:
        """Of `service`, `<namespace>/<name>`: beyond what mixerd keeps, where there is a Prometheus."""
        namespace, slash, name = query.get("service", "").partition("/")
        if not slash or not name:
            raise ValueError("service must be <namespace>/<name>")
        if not _seen(namespace, namespaces):
            return {"configured": False, "at": []}
        return await self._long.of(namespace, name, _number(query, SHORTEST, LONGEST))

    async def _kept(self, read: Callable[..., Any], *arguments: Any) -> Any:
        await self._desk.flush()
        async with self._desk.access:
            return {"items": await asyncio.to_thread(read, *arguments)}


def _seen(namespace: str, namespaces: frozenset[str] | None) -> bool:
    return namespaces is None or namespace in namespaces


def _dashboard() -> bytes:
    """One page that asks for nothing else: style and scripts stand where the page names them."""
    folder = files("mixerd.page")
    page = folder.joinpath("dashboard.html").read_text("utf-8")
    return _NAMED.sub(lambda found: folder.joinpath(found[1]).read_text("utf-8"), page).encode()


def _seconds(query: Mapping[str, str]) -> float:
    return _number(query, 5, 86400)


def _number(query: Mapping[str, str], least: float, most: float) -> float:
    try:
        found = float(query.get("seconds") or WINDOW_SECONDS)
    except ValueError as error:
        raise ValueError("seconds must be a number") from error
    if not least <= found <= most:
        raise ValueError(f"seconds must be {least:.0f} to {most:.0f}")
    return found


def _limit(query: Mapping[str, str]) -> int:
    text = query.get("limit") or str(LIMIT)
    if not text.isdigit() or not 0 < int(text) <= MOST:
        raise ValueError(f"limit must be 1 to {MOST}")
    return int(text)


def _body(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
