"""Putting right what lasts under `trust/`: what others wrote over it or took away, and what a signing key
signed that will not count for ever."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from artemon.daemon.signers import Signers
from artemon.errors import ArtemonError
from artemon.log import Log
from artemon.model.trust import BUNDLE, IDENTITIES, LISTS, REVOKED, SERIALS
from artemon.pki import signing
from artemon.pki.bundle import Bundle
from artemon.pki.certificate import fingerprint
from artemon.pki.errors import CertificateRefused
from artemon.pki.revocation import Ban, Revocation, RevocationList
from artemon.pki.rotation import ROTATION
from artemon.store.api import ABSENT, Batch, Deleted, Entry, Snapshot
from artemon.store.layout import Layout
from citadeld.seal import Seal, learn
from citadeld.sealed import LASTING, LIFTED, SIGNED_HERE, SealedStore


@dataclass(frozen=True, slots=True)
class Mending:
    """Keeps the lasting values of one mesh right."""

    store: SealedStore
    layout: Layout
    signers: Signers
    seal: Seal
    now: Callable[[], datetime]
    log: Log

    async def run(self) -> None:
        """Put right at once what somebody else changes, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for place in (BUNDLE, ROTATION, REVOKED):
                tasks.create_task(self._follow(self.layout.root + place))

    async def adopt(self) -> int:
        """Sign everything that a release before signatures left; how many values. Raises StoreError."""
        signed = 0
        for place in SIGNED_HERE:
            for entry in (await self.store.plain.list(self.layout.root + place)).entries:
                if _is_unsigned(entry.value) and not entry.lease:
                    result = await self.store.put(entry.key, entry.value, if_version=entry.version)
                    signed += result.ok
        return signed

    async def mend(self) -> int:
        """Everything that lasts; how many values were written. Raises StoreError."""
        written = 0
        await learn(self.store.plain, self.layout, self.signers)
        for place in LASTING:
            for entry in (await self.store.plain.list(self.layout.root + place)).entries:
                written += await self._mend(entry, lasts=self._lasts)
        return written

    async def _follow(self, prefix: str) -> None:
        async for item in self.store.plain.watch(prefix):
            changes: list[Entry | Deleted] = list(item.changes) if isinstance(item, Batch) else []
            if isinstance(item, Snapshot):
                there = {entry.key for entry in item.entries}
                gone = [key for key in self.store.lasting(prefix) if key not in there]
                changes = [*item.entries, *(Deleted(key, item.position.revision) for key in gone)]
            for change in changes:
                try:
                    if isinstance(change, Deleted):
                        await self._restore(change.key)
                    else:
                        await self._mend(change)
                except ArtemonError as error:
                    self.log.error("trust_not_mended", key=change.key, reason=error)

    async def _mend(self, entry: Entry, lasts: Callable[[str], bool] = lambda key: True) -> bool:
        """Write the last good value, or sign it anew when the key does not last; whether it was needed.

        What somebody unknown signed is left to people: it may be us who do not know the root of now.
        """
        found = await self.store.opened(entry)
        body, signature = signing.split(entry.value)
        if found is None or (signature is not None and not self.signers.trusts(signature.key)):
            return False
        good = signature is not None and found.value == body and entry.key not in self.store.forged
        if good and signature is not None and lasts(signature.key):
            return False
        written = await self.store.put(entry.key, found.value, if_version=entry.version)
        if written.ok:
            self.log.info("trust_signed_anew", key=entry.key, was_forged=not good)
        return written.ok

    def _lasts(self, key: str) -> bool:
        """Whether a signing key goes on counting, or ours would not either."""
        known = self.store.last_good(self.layout.bundle)
        if key == self.seal.key or known is None:
            return True
        root = fingerprint(Bundle.decode(known).roots[0])[:16]
        if not self.signers.leads_to(self.seal.key, root):
            return True
        return key != self.seal.before and self.signers.leads_to(key, root)

    async def _restore(self, key: str) -> None:
        """Put back what somebody else took away."""
        good = self.store.last_good(key)
        if good is None:
            return
        body = signing.split(good)[0]
        if await self._is_over(self.layout.relative(key), body):
            self.store.forget(key)
            return
        self.log.error("trust_value_taken_away", key=key)
        await self.store.put(key, body, if_version=ABSENT)

    async def _is_over(self, place: str, body: bytes) -> bool:
        """Whether what lay there was rightly removed, by another replica."""
        try:
            if place.startswith(SERIALS):
                return datetime.fromisoformat(Revocation.decode(body).notAfter) < self.now()
            if place.startswith(LISTS):
                end = RevocationList.decode(body).crl.next_update_utc
                return end is not None and end < self.now()
            if place.startswith(IDENTITIES):
                lifted = await self.store.get(self.layout.root + LIFTED + place.removeprefix(IDENTITIES))
                at = "" if lifted is None else str(json.loads(lifted.value)["at"])
                return bool(at) and datetime.fromisoformat(at) >= datetime.fromisoformat(Ban.decode(body).at)
        except (CertificateRefused, ValueError, LookupError, TypeError):
            return False
        return False


def _is_unsigned(value: bytes) -> bool:
    """Whether a value could have been written before values were signed."""
    return value.startswith(b"{") and value.endswith(b"}") and signing.split(value)[1] is None
