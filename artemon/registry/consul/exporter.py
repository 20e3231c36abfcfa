"""Keeps the catalog's entries of this mesh as they should be, on one node that is ours, by one leader.

Every transaction carries the state of that node as its leader claimed it, so that one who was replaced writes
nothing any more. Entries stay while no pilotd runs: what is not known to be gone is not taken away.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from artemon.backoff import Backoff
from artemon.errors import StoreError
from artemon.log import Log
from artemon.registry.consul.client import Client, Conflict, Denied
from artemon.registry.consul.convert import OWNER_META
from artemon.registry.consul.entries import FENCE_META, Entry, entries, read_entry
from artemon.registry.consul.settings import ConsulSettings
from artemon.registry.exports import Feed, Lead, Shown

BATCH = 40
"""Instances of one transaction: two operations each, of 128 that Consul allows, and the node's."""
PAUSE = 0.2
"""Seconds between two rounds, so that a burst of changes is one."""
NODE_ADDRESS = "127.0.0.1"
"""A node must have an address; every entry has its own."""
log = Log("artemon.registry.consul.export")
Operation = Mapping[str, Any]


class ConsulExporter:
    """Shows the services of `mesh` in the catalog (implements Exporter)."""

    def __init__(self, url: str, settings: ConsulSettings, mesh: str) -> None:
        self._url, self._settings, self._mesh = url, settings, mesh
        self._node = settings.export_node or f"artemon-{mesh}"

    async def run(self, feed: Feed, lead: Lead, shown: Shown) -> None:
        """See Exporter."""
        backoff = Backoff(0.5, 15.0)
        async with Client(self._url, self._settings) as client:
            while True:
                try:
                    await lead.confirm()
                    claim = Claim(client, self._node, self._mesh)
                    await claim.take(lead.fence)
                    await self._serve(claim, feed, shown, backoff)
                except Conflict:
                    log.info("claimed_by_another", node=self._node)
                except StoreError as error:
                    if shown.reason != str(error):
                        log.warning("not_exported", reason=error)
                    shown.reason = str(error)
                await asyncio.sleep(backoff.next(random.random()))  # noqa: S311 - jitter

    async def _serve(self, claim: Claim, feed: Feed, shown: Shown, backoff: Backoff) -> None:
        """Round after round. Everything is read anew every now and then: others have hands too."""
        while True:
            there, foreign = await claim.read(), await claim.names_elsewhere()
            try:
                async with asyncio.timeout(self._settings.proof):
                    while True:
                        there = await self._round(claim, feed, shown, there, foreign)
                        backoff.reset()
                        await asyncio.sleep(PAUSE)
                        await feed.changed.wait()
            except TimeoutError:
                continue

    async def _round(
        self, claim: Claim, feed: Feed, shown: Shown, there: dict[str, Entry], foreign: set[str]
    ) -> dict[str, Entry]:
        """Make Consul show what it should; what it shows then."""
        mesh = feed.take()
        if mesh is None:
            return there
        wanted, problem = entries(mesh, self._settings, self._mesh)
        new = {one.name for one in wanted.values()} - {one.name for one in there.values()}
        if new - foreign:
            foreign |= await claim.names_elsewhere()
        taken = sorted({one.name for one in wanted.values()} & foreign)
        wanted = {key: one for key, one in wanted.items() if one.name not in foreign}
        await claim.write(
            [one for key, one in wanted.items() if there.get(key) != one],
            [one for key, one in there.items() if key not in wanted],
        )
        shown.services, shown.instances = len({one.name for one in wanted.values()}), len(wanted)
        others = f"registered in Consul by others, so not exported: {', '.join(taken)}" if taken else ""
        reason = "; ".join(filter(None, (problem, others)))
        if reason and reason != shown.reason:
            log.warning("not_exported", reason=reason)
        shown.reason = reason
        return wanted


class Claim:
    """The node that carries the entries, as its leader claimed it. Every method raises StoreError; Conflict
    when another has claimed it since."""

    def __init__(self, client: Client, node: str, mesh: str) -> None:
        self._client, self._node, self._mesh = client, node, mesh
        self._body: dict[str, Any] = {}

    async def take(self, fence: int) -> None:
        """From now on nobody writes who claimed it before. Raises StoreError for a node of somebody else."""
        answer = await self._client.get(f"/v1/catalog/node/{quote(self._node, safe='')}", consistent=True)
        found: Mapping[str, Any] = (answer.body or {}).get("Node") or {}
        if not found and answer.filtered:
            raise Denied(f"the token may not read the node {self._node}: it needs node:read")
        if found and (found.get("Meta") or {}).get(OWNER_META) != self._mesh:
            raise StoreError(f"Consul's node {self._node} is not of the mesh {self._mesh}; set export_node")
        self._body = {
            "Node": self._node,
            "Address": NODE_ADDRESS,
            "Meta": {OWNER_META: self._mesh, FENCE_META: str(fence)},
            "ModifyIndex": int(found.get("ModifyIndex") or 0),
        }
        done = await self._client.txn([self._fence()])
        self._body["ModifyIndex"] = int(done[0]["Node"]["ModifyIndex"])
        log.info("claimed", node=self._node, fence=fence)

    async def read(self) -> dict[str, Entry]:
        """The entries that are there, by id."""
        node = quote(self._node, safe="")
        services = await self._client.get(f"/v1/catalog/node/{node}", consistent=True)
        checks = await self._client.get(f"/v1/health/node/{node}", consistent=True)
        found = ((services.body or {}).get("Services") or {}).values()
        ours = (one for one in found if (one.get("Meta") or {}).get(OWNER_META) == self._mesh)
        return {str(one["ID"]): read_entry(one, checks.body or ()) for one in ours}

    async def names_elsewhere(self) -> set[str]:
        """The services that have instances on other nodes."""
        only = f'Node != "{self._node}"'
        answer = await self._client.get("/v1/catalog/services", consistent=True, only=only)
        return set(answer.body or ())

    async def write(self, upserts: list[Entry], removals: list[Entry]) -> None:
        """Register, then deregister."""
        for start in range(0, len(upserts), BATCH):
            batch = upserts[start : start + BATCH]
            operations = [operation for one in batch for operation in self._registration(one)]
            await self._client.txn([self._fence(), *operations])
        for start in range(0, len(removals), BATCH):
            gone = removals[start : start + BATCH]
            await self._client.txn([self._fence(), *(self._deregistration(one) for one in gone)])
        if upserts or removals:
            log.info("exported", registered=len(upserts), deregistered=len(removals))

    def _fence(self) -> Operation:
        return {"Node": {"Verb": "cas", "Node": self._body}}

    def _registration(self, entry: Entry) -> tuple[Operation, Operation]:
        return (
            {"Service": {"Verb": "set", "Node": self._node, "Service": entry.service()}},
            {"Check": {"Verb": "set", "Check": entry.check(self._node)}},
        )

    def _deregistration(self, entry: Entry) -> Operation:
        return {
            "Service": {
                "Verb": "delete",
                "Node": self._node,
                "Service": {"ID": entry.id, "Service": entry.name},
            }
        }
