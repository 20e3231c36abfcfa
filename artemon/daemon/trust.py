"""Daemons that read the registry learn from it whom to trust, as soon as it changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from artemon.daemon.identity import IdentityKeeper
from artemon.daemon.signers import CITADELD, Forged, Signers
from artemon.errors import ArtemonError
from artemon.log import Log
from artemon.pki import signing
from artemon.pki.bundle import Bundle
from artemon.store.api import Store
from artemon.store.follow import Follow
from artemon.store.layout import Layout
from artemon.store.mirror import Changes


def trust_signers(mesh: str, trust_domain: str, keeper: IdentityKeeper, log: Log) -> Signers:
    """Who may say what is trusted: keys that lead to the roots that `keeper` trusts already."""
    return Signers(mesh, trust_domain, roots=lambda: keeper.current().roots_pem, log=log, writer=CITADELD)


class TrustFollower:
    """Has `keeper` trust what the bundle says. signers: whose bundle counts; None: everybody's. forged: told
    of a bundle that is not taken, with the reason, and "" when it is again. adopted: called after roots were
    taken, which other signing keys may lead to."""

    def __init__(
        self,
        store: Store,
        layout: Layout,
        keeper: IdentityKeeper,
        *,
        signers: Signers | None,
        log: Log,
        forged: Callable[[str], None] = lambda reason: None,
        adopted: Callable[[], None] = lambda: None,
    ) -> None:
        self._layout, self._keeper, self._signers, self._log = layout, keeper, signers, log
        self._told_forged, self._adopted = forged, adopted
        self._wanted, self._news = b"", asyncio.Event()
        self._papers = Follow(store, layout.writers, self._take_papers, name="writers")
        self._bundle = Follow(store, layout.bundle, lambda _: self._judge(), name="trust")

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._papers.run())
            await self._papers.synced.wait()
            tasks.create_task(self._bundle.run())
            while True:
                await self._news.wait()
                self._news.clear()
                await self._adopt(self._wanted)

    def _take_papers(self, changes: Changes) -> None:
        prefix = self._layout.writers
        if self._signers is None:
            return
        for one in changes.upserts:
            self._signers.take(one.key.removeprefix(prefix), one.value)
        for one in changes.deletes:
            self._signers.take(one.key.removeprefix(prefix), None)
        self._judge()

    def _judge(self) -> None:
        """Have the bundle adopted, if it is citadeld's: then it is in force, else the last good one is."""
        entry = self._bundle.entries.get(self._layout.bundle)
        if entry is None:
            return
        try:
            body = signing.split(entry.value)[0]
            if self._signers is not None:
                body = self._signers.body(self._layout.relative(entry.key), entry.value)
        except Forged as error:
            self._log.error("registry_value_forged", key=entry.key, reason=error, kept="the last good one")
            self._told_forged(f"{entry.key}: {error}")
            return
        self._told_forged("")
        self._wanted = body
        self._news.set()

    async def _adopt(self, body: bytes) -> None:
        try:
            await self._keeper.adopt_roots(Bundle.decode(body).roots_pem)
        except (ArtemonError, OSError) as error:
            self._log.error("trust_not_followed", reason=error)
            return
        if self._signers is not None and self._signers.again():
            self._judge()
        self._adopted()
