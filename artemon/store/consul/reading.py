"""Reading what lies under a prefix, and believing only what is certain."""

from __future__ import annotations

from dataclasses import dataclass

from artemon.errors import Unavailable
from artemon.store import clock
from artemon.store.api import Entry, Position
from artemon.store.consul.client import Client
from artemon.store.consul.deliveries import History, entries_of
from artemon.store.consul.errors import Denied

PROBE = "~"
"""A name under the prefix that nothing has: whether it may be read shows whether others may."""


@dataclass(frozen=True, slots=True)
class Reading:
    """entries: sorted by key. index: Consul's, of this prefix. position: everything up to it is in, which a
    consistent reading shows of all that was known before it. seconds: what decoding took."""

    entries: tuple[Entry, ...]
    index: int
    position: Position
    seconds: float


async def read_prefix(
    client: Client,
    history: History,
    prefix: str,
    *,
    index: int = 0,
    wait: float = 0.0,
    consistent: bool = False,
) -> Reading:
    """Everything under `prefix`, with `index` only after a change or when `wait` is over.

    Raises Denied where anything may not be read: Consul would call it empty. Raises StoreError."""
    before = history.position
    answer = await client.kv.get(
        prefix,
        recurse=True,
        index=index or None,
        wait=f"{round(wait * 1000)}ms" if index else None,
        consistency="consistent" if consistent else "default",
    )
    if answer.filtered:
        raise Denied(f"consul: the token may not read everything under {prefix!r}")
    if answer.leaderless:
        raise Unavailable("consul: the agent knows no leader")
    started = clock.now()
    number, items = int(answer.value[0]), answer.value[1]
    if not items:
        await client.kv.get(prefix + PROBE, consistency="consistent" if consistent else "default")
    entries = entries_of(items)
    position = history.read(number)
    if consistent and before.epoch == position.epoch:
        position = max(position, before)
    return Reading(entries, number, position, clock.now() - started)
