"""The state of a kind in a cluster, kept up to date: list once, then watch (Kubernetes API concepts,
"Efficient detection of changes")."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from artemon.backoff import Backoff
from artemon.errors import ArtemonError
from artemon.kube.client import JSON, METADATA, METADATA_LIST, Client, Query
from artemon.kube.failures import Gone, Rejected, missing_rule
from artemon.kube.pages import Object, Read, fields_of
from artemon.model.resource import Kind

WATCH_SECONDS = 90
"""Less than the client waits for a word: a watch without events ends by itself."""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """Everything there is, at one moment; what was there before and is not here is gone."""

    objects: tuple[T, ...]


@dataclass(frozen=True, slots=True)
class Changed(Generic[T]):
    """One object as it is now; deleted: as it was at last."""

    object: T
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Lost:
    """The cluster does not answer, or refuses; what was known stays in force. reason: for people. absent: it
    has no such kind."""

    reason: str
    absent: bool = False


Item = Listed[T] | Changed[T] | Lost


def follow(
    client: Client,
    kind: Kind,
    namespace: str = "",
    *,
    query: Query | None = None,
    jitter: Callable[[], float] = random.random,
) -> AsyncIterator[Item[Object]]:
    """`follow_as` with whole objects."""
    return follow_as(fields_of, client, kind, namespace, query=query, jitter=jitter)


async def follow_as(
    read: Read[T],
    client: Client,
    kind: Kind,
    namespace: str = "",
    *,
    query: Query | None = None,
    bare: bool = False,
    jitter: Callable[[], float] = random.random,
) -> AsyncIterator[Item[T]]:
    """The state of `kind`, its objects as what `read` makes of them, until cancelled. Level, not edge: after
    every loss of history a new Listed comes.

    Bookmarks move the position without a change; a position that is too old (410) means to list again; an
    unreachable cluster is tried again with back-off, told once per try, and listed anew when it answers.
    bare: only metadata is asked for. Raises Rejected when the caller is not known (any more).
    """
    whole, one = (METADATA_LIST, METADATA) if bare else (JSON, JSON)
    since, backoff = "", Backoff(first=0.2, most=30)
    while True:
        try:
            if not since:
                objects, since = await client.list_as(read, kind, namespace, query=query, accept=whole)
                yield Listed(objects)
            asked: Query = {**(query or {}), "timeoutSeconds": WATCH_SECONDS}
            async for event in client.watch_as(read, kind, namespace, since=since, query=asked, accept=one):
                since = event.version
                backoff.reset()
                if event.type != "BOOKMARK":
                    yield Changed(event.object, deleted=event.type == "DELETED")
            continue
        except Gone:
            since = ""
        except Rejected as error:
            if error.code == 401:  # a token that expired: only whoever has a new one can go on
                raise
            since = ""
            yield Lost(_needed(error, kind), absent=error.code == 404)
        except ArtemonError as error:
            since = ""  # so that a Listed tells that it answers again
            yield Lost(str(error))
        await asyncio.sleep(backoff.next(jitter()))


def _needed(error: Rejected, kind: Kind) -> str:
    """A refusal, with the rule that would grant what is missing."""
    rule = f'{{apiGroups: ["{kind.group}"], resources: ["{kind.plural}"], verbs: [get, list, watch]}}'
    return missing_rule(error, rule)
