"""WATCH: a stream of events, first what is there (where asked), then what changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from artemon.model.resource import Kind
from artemon.store.api import Entry, Store
from galleyd import request as ask
from galleyd import status
from galleyd.feed import Behind, Change, Feed
from galleyd.forms import Form
from galleyd.keys import Keys
from galleyd.lists import listed
from galleyd.objects import Object, Stored
from galleyd.selectors import Selector
from galleyd.writes import decode

LONGEST = 3600.0
"""Seconds after which a watch ends where the client names no time."""
BOOKMARK = 30.0
"""Seconds between bookmarks."""
LOOK = 10.0
"""Seconds between looks whether the client is still there."""
WRITE = 30.0
"""Seconds in which a client must take an event."""

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Watching:
    """What a client asked to be told.

    prefix: the keys concerned. since: told from this revision on; 0: first what is there. initial: the
    protocol of initial events (they are ended by a bookmark). seconds: when to end.
    """

    keys: Keys
    kind: Kind
    namespace: str
    since: int
    bookmarks: bool
    initial: bool
    seconds: float

    @property
    def prefix(self) -> str:
        """The keys concerned."""
        return self.keys.collection(self.kind, self.namespace)

    @classmethod
    def asked(cls, request: web.Request, *, keys: Keys, kind: Kind, namespace: str) -> Watching:
        """From the query. Raises ApiError 400, 422."""
        initial = ask.flag(request, "sendInitialEvents")
        match = request.query.get("resourceVersionMatch", "")
        if initial and match != "NotOlderThan":
            text = "sendInitialEvents needs resourceVersionMatch=NotOlderThan"
            raise status.ApiError(422, "Invalid", text, causes=[status.Cause("resourceVersionMatch", text)])
        if match and "sendInitialEvents" not in request.query:
            text = "resourceVersionMatch is for a watch with sendInitialEvents"
            raise status.ApiError(422, "Invalid", text, causes=[status.Cause("resourceVersionMatch", text)])
        return cls(
            keys=keys,
            kind=kind,
            namespace=namespace,
            since=0 if initial else ask.number(request, "resourceVersion"),
            bookmarks=ask.flag(request, "allowWatchBookmarks"),
            initial=initial,
            seconds=float(min(ask.number(request, "timeoutSeconds"), 86400) or LONGEST),
        )


async def stream(
    request: web.Request, watching: Watching, form: Form, chosen: Selector, *, store: Store, feed: Feed
) -> web.StreamResponse:
    """Answer a watch until its time is up, the client goes, or it falls behind."""
    start = watching.since
    generation = feed.generation
    first: list[Event] = []
    if not start:
        found = await listed(store, watching.keys, watching.kind, watching.namespace, chosen)
        start = found.revision
        first = [{"type": "ADDED", "object": item} for item in _initial(found.items, form)]
        if watching.initial and watching.bookmarks:
            first.append({"type": "BOOKMARK", "object": form.bookmark(start, initial=True)})
    elif start > feed.position.revision and start > (await store.list(watching.prefix)).position.revision:
        raise status.expired(f"revision {start} is not one of this registry; list again")
    response = web.StreamResponse(
        headers={"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
    )
    await response.prepare(request)
    try:
        async with asyncio.timeout(watching.seconds + WRITE):
            for event in first:
                await _send(response, event)
            async for event in _changes(
                request, watching, form, chosen, feed=feed, start=(start, generation, bool(first))
            ):
                await _send(response, event)
    except (ConnectionError, TimeoutError):
        return response
    await response.write_eof()
    return response


async def _send(response: web.StreamResponse, event: Event) -> None:
    async with asyncio.timeout(WRITE):
        await response.write(json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode() + b"\n")


def _initial(items: tuple[Stored, ...], form: Form) -> Iterator[Object]:
    for number, item in enumerate(items):
        yield form.one(item, header=number == 0)


async def _changes(
    request: web.Request,
    watching: Watching,
    form: Form,
    chosen: Selector,
    *,
    feed: Feed,
    start: tuple[int, int, bool],
) -> AsyncIterator[Event]:
    revision, generation, headed = start
    loop = asyncio.get_running_loop()
    end, told = loop.time() + watching.seconds, loop.time()
    while loop.time() < end and not feed.closed and request.transport and not request.transport.is_closing():
        try:
            changes = feed.since(revision, generation)
        except Behind:
            yield {"type": "ERROR", "object": _too_old(revision).json()}
            return
        for change in changes:
            revision = change.revision
            event = event_of(change, watching, form, chosen, header=not headed)
            if event:
                headed = True
                yield event
        if watching.bookmarks and loop.time() - told >= BOOKMARK:
            told, revision = loop.time(), max(revision, feed.position.revision)
            yield {"type": "BOOKMARK", "object": form.bookmark(revision, initial=False)}
        if not changes:
            await feed.moved(min(LOOK, end - loop.time()))
    if watching.bookmarks and loop.time() >= end:  # the next watch then begins where this one ends
        yield {"type": "BOOKMARK", "object": form.bookmark(revision, initial=False)}


def event_of(
    change: Change, watching: Watching, form: Form, chosen: Selector, *, header: bool
) -> Event | None:
    """What one change means to this client: an object that leaves its selection is deleted, one that enters
    is added; None: nothing."""
    if not change.key.startswith(watching.prefix):
        return None
    before = _selected(change, change.before, chosen)
    after = _selected(change, change.after, chosen)
    if after:
        return {"type": "MODIFIED" if before else "ADDED", "object": form.one(after, header=header)}
    return {"type": "DELETED", "object": form.one(before, header=header)} if before else None


def _selected(change: Change, value: bytes | None, chosen: Selector) -> Stored | None:
    stored = decode(Entry(change.key, value, change.revision)) if value is not None else None
    return stored if stored and chosen(stored.object) else None


def _too_old(revision: int) -> status.ApiError:
    return status.expired(f"too old resource version: {revision}; list again")
