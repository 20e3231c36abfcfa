"""Debug pages: who is connected and what each proxy was sent. For operators with the socket, and galleyd."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiohttp import web
from google.protobuf import any_pb2, json_format

from artemon.api.v1.start_pb2 import ProxyStart
from artemon.errors import ArtemonError
from artemon.xds.resource import Resource
from artemon.xds.types import CLUSTER, ENDPOINTS, LISTENER, ROUTES, SECRET, START
from pilotd.callers import plaintext_callers
from pilotd.fleet import Client, Fleet
from pilotd.server import Page

SECTIONS = {CLUSTER: "clusters", ENDPOINTS: "endpoints", LISTENER: "listeners", ROUTES: "routes"}
Query = Mapping[str, list[str]]


class Pages:
    """The pages by path. problems: what in the registry cannot be used, with reasons, by key. registries:
    the health of each; release: lets held removals go, and says how many, by registry."""

    def __init__(
        self,
        fleet: Fleet,
        problems: Callable[[], Mapping[str, list[str]]],
        *,
        registries: Callable[[], list[dict[str, Any]]],
        release: Callable[[], dict[str, int]],
    ) -> None:
        self._fleet = fleet
        self._problems = problems
        self._pages: dict[str, Callable[[Query], Any]] = {
            "/debug/syncz": self._syncz,
            "/debug/config_dump": self._config_dump,
            "/debug/callers": lambda _: plaintext_callers(fleet),
            "/debug/problems": lambda _: self._problems(),
            "/debug/registries": lambda _: registries(),
            "/debug/release": lambda _: release(),
        }

    def page(self, path: str) -> tuple[int, bytes]:
        """Status and JSON of `path`, which may have a query."""
        parts = urlsplit(path)
        make = self._pages.get(parts.path)
        if make is None:
            known = ", ".join(sorted(self._pages))
            return 404, _json({"error": f"there is no page {parts.path[:100]}; known: {known}"})
        found = make(parse_qs(parts.query))
        if found is None:
            return 404, _json({"error": "no such proxy is connected here; see /debug/syncz"})
        return 200, _json(found)

    def _syncz(self, _: Query) -> list[Mapping[str, Any]]:
        return [json.loads(client.report.status.to_json()) for client in self._fleet.clients if client.report]

    def _config_dump(self, query: Query) -> Mapping[str, Any] | None:
        wanted = (query.get("proxyID") or [""])[0]
        for client in self._fleet.clients:
            if wanted in {client.proxy.id, f"{client.proxy.name}.{client.proxy.namespace}"}:
                return _dump(client)
        return None


def _dump(client: Client) -> dict[str, Any]:
    """What the client should have of what it asked for, as proto3 JSON."""
    desired = client.mailbox.value
    dump: dict[str, Any] = {"node": client.proxy.id, "revision": desired.revision if desired else 0}
    for type_url, section in SECTIONS.items():
        wanted = client.session.subscription(type_url)
        items = desired.resources[type_url].items if desired else {}
        dump[section] = [
            _readable(items[name]) for name in sorted(items) if wanted is not None and wanted.covers(name)
        ]
    dump["secrets"] = _secrets(client)
    dump["start"] = _start(client)
    return dump


def _start(client: Client) -> list[dict[str, Any]]:
    """How its agent is to start it; nothing where no agent asks."""
    desired = client.mailbox.value
    if desired is None or client.session.subscription(START) is None:
        return []
    parts = []
    for name, item in sorted(desired.resources[START].items.items()):
        part = ProxyStart.FromString(item.body)
        shown: dict[str, Any] = {"name": name}
        if part.HasField("settings"):
            shown["environment"] = dict(part.settings.environment)
            if part.settings.local_cluster:
                shown["localCluster"] = part.settings.local_cluster
            if part.settings.HasField("concurrency"):
                shown["concurrency"] = part.settings.concurrency
        parts.append(shown)
    return parts


def _secrets(client: Client) -> list[dict[str, Any]]:
    """The names of delivered secrets, and of those asked for in vain. Never what is in them."""
    desired, wanted = client.mailbox.value, client.session.subscription(SECRET)
    held = desired.resources[SECRET].items if desired else {}
    names = wanted.names if wanted is not None else frozenset()
    return [
        {"name": name, "version": held[name].version if name in held else "", "delivered": name in held}
        for name in sorted(names)
    ]


def _readable(resource: Resource) -> Any:
    packed = any_pb2.Any(type_url=resource.type_url, value=resource.body)
    shown = json_format.MessageToDict(packed)
    return {key: value for key, value in shown.items() if key != "@type"}


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


@asynccontextmanager
async def serve_pages(path: str, page: Page) -> AsyncIterator[None]:
    """Serves the pages over HTTP on a Unix socket (0600) while the block runs; an empty path serves none."""
    if not path:
        yield
        return

    async def answer(request: web.Request) -> web.Response:
        status, body = page(request.path_qs)
        return web.Response(status=status, body=body, content_type="application/json")

    app = web.Application(client_max_size=64 * 1024)
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        _remove(path)
        before = os.umask(0o177)
        try:
            await web.UnixSite(runner, path).start()
        finally:
            os.umask(before)
        yield
    except OSError as error:
        raise ArtemonError(f"cannot listen on {path}: {error.strerror}") from error
    finally:
        await runner.cleanup()
        _remove(path)


def _remove(path: str) -> None:
    Path(path).unlink(missing_ok=True)
