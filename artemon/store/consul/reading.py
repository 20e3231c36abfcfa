"""Reading what lies under a prefix, and believing only what is certain."""

from __future__ import annotations

from dataclasses import dataclass

from artemon.errors import Unavailable
from artemon.store import clock
from artemon.store.api import Position
from artemon.store.consul.client import Answer, Client
from artemon.store.consul.deliveries import History
from artemon.store.consul.errors import Denied
from artemon.store.consul.tree import Item

PROBE = "~"
"""A name under the prefix that nothing has: whether it may be read shows whether others may."""


@dataclass(frozen=True, slots=True)
class Reading:
    """items: sorted by key. index: Consul's, of this prefix. position: everything up to it is in, which a
    consistent reading shows of all that was known before it. seconds: what it took."""

    items: tuple[Item, ...]
    index: int
    position: Position
    seconds: float


async def read_prefix(
    client: Client,
    history: History,
    prefix: str,
    *,
    after: int = 0,
    wait: float = 0.0,
    consistent: bool = False,
) -> Reading:
    """Everything under `prefix`. after: the state must be newer than this index, then any server may say it,
    as it should within `wait` seconds. consistent: as the leader knows it now.

    Raises Denied where anything may not be read: Consul would call it empty. Raises StoreError."""
    before, started = history.position, clock.now()
    consistency = "consistent" if consistent else "stale" if after else "default"
    answer = await client.tree(prefix, index=after, wait=wait, consistency=consistency)
    _believe(answer, prefix)
    number, items = answer.value
    if not items:
        await client.kv.get(prefix + PROBE, consistency="consistent" if consistent else "default")
    position = history.read(number)
    if consistent and before.epoch == position.epoch:
        position = max(position, before)
    return Reading(items, number, position, clock.now() - started)


@dataclass(frozen=True, slots=True)
class Listing:
    """names: what lies under `prefix`, one level deep, sorted. index: of the newest change at any depth."""

    prefix: str
    index: int
    names: tuple[str, ...]


async def list_names(client: Client, prefix: str, *, index: int = 0, wait: float = 0.0) -> Listing:
    """What lies under `prefix`; with `index`: when that is another, or after `wait` seconds. Raises
    StoreError."""
    answer = await client.names(prefix, index=index, wait=wait)
    _believe(answer, prefix)
    return Listing(prefix, *answer.value)


async def read_one(client: Client, key: str) -> tuple[Item, ...]:
    """The key, where it is. Raises StoreError."""
    answer = await client.item(key)
    _believe(answer, key)
    return tuple(answer.value)


def _believe(answer: Answer, prefix: str) -> None:
    if answer.filtered:
        raise Denied(f"consul: the token may not read everything under {prefix!r}")
    if answer.leaderless:
        raise Unavailable("consul: the agent knows no leader")
