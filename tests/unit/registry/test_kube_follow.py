"""List and watch against a server that pages, sends bookmarks, forgets history, refuses and goes away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from artemon.kube import Access, Client
from artemon.kube.client import IDLE
from artemon.kube.follow import Changed, Item, Listed, Lost, follow
from artemon.kube.kinds import SERVICE

PATH = "/api/v1/services"


def one(name: str, version: int) -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": str(version)}}


class Cluster:
    """What the server does.

    Pages to list, then for each watch a script of events, a status, or None (hang).
    """

    def __init__(self, pages: list[list[dict[str, Any]]], watches: list[Any]) -> None:
        self.pages, self.watches, self.asked = pages, list(watches), list[dict[str, str]]()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        query = dict(request.query)
        self.asked.append(query)
        if query.get("watch") == "1":
            return await self._watch(request)
        number = int(query.get("continue", "0"))
        more = {"continue": str(number + 1)} if number + 1 < len(self.pages) else {}
        metadata = {"resourceVersion": "10", **more}
        return web.json_response({"metadata": metadata, "items": self.pages[number]})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        script = self.watches.pop(0) if self.watches else None
        if isinstance(script, int):
            return web.json_response({"kind": "Status", "code": script, "message": "no"}, status=script)
        response = web.StreamResponse()
        await response.prepare(request)
        for event in script or ():
            await response.write(json.dumps(event).encode() + b"\n")
        if script is None:
            await asyncio.sleep(3600)
        return response


@asynccontextmanager
async def followed(cluster: Cluster) -> AsyncIterator[AsyncIterator[Item]]:
    app = web.Application()
    app.router.add_get(PATH, cluster.serve)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        client = Client(Access(str(server.make_url(""))), session)
        yield follow(client, SERVICE, jitter=lambda: 0.0)


async def taken(cluster: Cluster, count: int) -> list[Item]:
    found: list[Item] = []
    async with asyncio.timeout(30), followed(cluster) as items:
        async for item in items:
            found.append(item)
            if len(found) == count:
                return found
    raise AssertionError("the end of an endless stream")


def added(name: str, version: int) -> dict[str, Any]:
    return {"type": "ADDED", "object": one(name, version)}


async def test_pages_are_one_list_and_events_follow() -> None:
    cluster = Cluster([[one("a", 1)], [one("b", 2)]], [[added("c", 11)]])
    found = await taken(cluster, 2)
    assert found == [Listed((one("a", 1), one("b", 2))), Changed(one("c", 11))]
    assert cluster.asked[-1]["resourceVersion"] == "10"


async def test_a_bookmark_moves_the_position_alone() -> None:
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "40"}}}
    cluster = Cluster([[]], [[bookmark], [added("c", 41)]])
    found = await taken(cluster, 2)
    assert found == [Listed(()), Changed(one("c", 41))]
    assert [asked.get("resourceVersion") for asked in cluster.asked] == [None, "10", "40"]


async def test_history_that_is_gone_means_to_list_again() -> None:
    gone = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}
    for script in (410, [gone]):
        cluster = Cluster([[one("a", 1)]], [script, [added("c", 11)]])
        assert await taken(cluster, 3) == [
            Listed((one("a", 1),)),
            Listed((one("a", 1),)),
            Changed(one("c", 11)),
        ]


async def test_a_missing_right_is_named_with_its_rule() -> None:
    found = await taken(Cluster([[]], [403]), 2)
    assert isinstance(found[1], Lost)
    assert '{apiGroups: [""], resources: ["services"], verbs: [get, list, watch]}' in found[1].reason


async def test_a_server_that_fails_is_told_and_so_is_that_it_answers_again() -> None:
    cluster = Cluster([[]], [503, [added("c", 11)]])
    found = await taken(cluster, 4)
    assert [type(item) for item in found] == [Listed, Lost, Listed, Changed]
    assert [asked.get("resourceVersion") for asked in cluster.asked] == [None, "10", None, "10"]


async def test_a_watch_without_events_ends_before_the_client_gives_it_up() -> None:
    cluster = Cluster([[]], [[added("c", 11)]])
    await taken(cluster, 2)
    assert int(cluster.asked[-1]["timeoutSeconds"]) < IDLE


async def test_deletions_are_told() -> None:
    cluster = Cluster([[one("a", 1)]], [[{"type": "DELETED", "object": one("a", 12)}]])
    assert (await taken(cluster, 2))[1] == Changed(one("a", 12), deleted=True)
