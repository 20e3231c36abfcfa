"""The registry as this replica uses it: signed, checked, kept right, and remembered over restarts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from artemon.backoff import Backoff
from artemon.daemon.files import make_private_dir, read_public, write_public
from artemon.daemon.run import Context
from artemon.daemon.signers import CITADELD, Forged, Signers
from artemon.errors import ArtemonError, StoreError
from artemon.pki.bundle import Bundle
from artemon.pki.certificate import Authority, chain_pem
from artemon.store.api import Store
from artemon.store.layout import Layout
from citadeld.mending import Mending
from citadeld.metrics import Metrics
from citadeld.publish import of_another, read_bundle
from citadeld.rooms import Rooms
from citadeld.seal import Seal, learn
from citadeld.sealed import SealedStore
from citadeld.settings import CitadelSettings

BUNDLE_FILE = "trust.json"
AUDIT = "audit.jsonl"


@dataclass(frozen=True, slots=True)
class Registry:
    """store: what everything in citadeld reads and writes by."""

    store: SealedStore
    layout: Layout
    seal: Seal
    mending: Mending
    rooms: Rooms
    context: Context
    trust_domain: str
    file: Path
    _saved: list[bytes] = field(default_factory=list)

    async def upkeep(self) -> None:
        """Keep the signing key, its papers and what it signed fresh. Raises StoreError, ArtemonError."""
        known = self.store.last_good(self.layout.bundle)
        if known is None:
            return
        if old := self.seal.renew():
            self.context.log.info("signing_key_changed", old=old, new=self.seal.key)
        authorities = await asyncio.to_thread(self._authorities, Bundle.decode(known))
        await self.seal.publish(self.store.plain, authorities)
        await self.mending.mend()
        if self._saved != [known]:
            write_public(self.file, known)
            self._saved[:] = [known]

    def _authorities(self, bundle: Bundle) -> list[Authority]:
        """This replica's, of all roots that are trusted."""
        found = [room.present() for room in self.rooms.trusted(bundle.roots)]
        return [one for one in found if one is not None]

    async def first_bundle(self) -> Bundle | None:
        """The bundle when citadeld starts; None when there is none yet. Raises ArtemonError when what lies
        there is not the one of a citadeld whose root is here, StoreError."""
        known = read_public(self.file)
        if known is not None:
            self.store.remember(self.layout.bundle, known)
        elif (self.file.parent / AUDIT).exists():  # of a release before signatures
            self.context.log.info("trust_signed", values=await self.mending.adopt())
        try:
            return await read_bundle(self.store, self.layout.root)
        except Forged as error:
            raise ArtemonError(await self._why(error)) from error

    async def _why(self, error: Forged) -> str:
        """Why the bundle cannot be taken, with the way out."""
        entry = await self.store.plain.get(self.layout.bundle)
        told = Bundle.decode(entry.value) if entry else None
        ours = [room.root() for room in self.rooms.every()]
        if told is None or set(told.roots) & set(ours):
            return f"{self.layout.bundle}: {error}"
        return of_another(told, ours, self.trust_domain)


def sealed_registry(
    store: Store,
    settings: CitadelSettings,
    context: Context,
    *,
    rooms: Rooms,
    metrics: Metrics,
    now: Callable[[], datetime],
) -> Registry:
    """What `store` is for citadeld. Raises ArtemonError: the signing key cannot be read."""
    make_private_dir(settings.data_dir)
    layout = Layout(settings.mesh)

    def roots() -> bytes:
        known = sealed.last_good(layout.bundle)
        if known is not None:
            return Bundle.decode(known).roots_pem
        return b"".join(chain_pem([room.root()]) for room in rooms.every())

    def found(key: str, reason: str, text: str) -> None:
        if reason:
            metrics.forged.labels(reason).inc()
            context.log.error("registry_value_forged", key=key, reason=text)
        bad = sorted(sealed.forged)
        context.health.degrade("trust", f"not written by citadeld: {', '.join(bad[:5])}" if bad else "")

    signers = Signers(settings.mesh, settings.trust_domain, roots=roots, log=context.log, writer=CITADELD)
    seal = Seal(
        settings.data_dir,
        layout,
        signers,
        trust_domain=settings.trust_domain,
        days=settings.signing_key_days,
    )
    sealed = SealedStore(
        store, layout, signers, sign=seal.sign, learn=lambda: learn(store, layout, signers), found=found
    )
    mending = Mending(sealed, layout, signers, seal, now, context.log)
    return Registry(
        sealed, layout, seal, mending, rooms, context, settings.trust_domain, settings.data_dir / BUNDLE_FILE
    )


async def answers(store: Store, settings: CitadelSettings, context: Context) -> bool:
    """Wait until the registry can be read, and say why it cannot; False when told to stop meanwhile. A right
    that is missing is waited for as well: an operator may be about to grant it."""
    backoff = Backoff(0.2, 5.0)
    while True:
        try:
            await store.get(Layout(settings.mesh).bundle)
            context.health.meet("registry")
            return True
        except StoreError as error:
            context.log.warning("registry_not_read", reason=error)
            context.health.expect("registry", str(error))
        try:
            async with asyncio.timeout(backoff.next(random.random())):  # noqa: S311 - jitter
                await context.stop.wait()
                return False
        except TimeoutError:
            continue
