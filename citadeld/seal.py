"""The key with which this replica signs what it writes into the registry, and the key's papers there.

Each of this replica's authorities under a trusted root endorses it, so whoever knows one of the roots knows
whose values count; while a root is rotated, under both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from artemon.daemon.files import read_public, read_secret, write_public, write_secret
from artemon.daemon.signers import Signers
from artemon.pki import signing
from artemon.pki.certificate import Authority, chain_pem, fingerprint
from artemon.pki.endorsement import (
    Endorsement,
    check_authority_endorsement,
    endorse_as_authority,
    endorsing_chain,
)
from artemon.pki.errors import CertificateRefused
from artemon.store.api import Store
from artemon.store.layout import Layout

KEY, OLD = "signing.pem", "signing.old"
KEEP_SECONDS = 25 * 3600.0
"""How long the papers of a key that was replaced stay: nothing brief that it signed is good any longer."""


class Seal:
    """The signing key of one citadeld, in its data directory. days: how old it may become."""

    def __init__(
        self,
        directory: Path,
        layout: Layout,
        signers: Signers,
        *,
        trust_domain: str,
        days: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._directory, self._layout, self._signers = directory, layout, signers
        self._trust_domain, self._days, self._now, self._last = trust_domain, days, now, 0
        found = read_secret(directory / KEY)
        self._key = signing.SigningKey.load(found) if found else self._make()
        signers.pin(self._key.public)

    @property
    def key(self) -> str:
        """The id of the key in use."""
        return self._key.id

    @property
    def before(self) -> str:
        """The id of the key that this one replaced a while ago; "" for none."""
        old = read_public(self._directory / OLD)
        return old.decode() if old else ""

    def sign(self, key: str, body: bytes, after: int) -> bytes:
        """The value to be written under `key`; its sequence is above `after` and all signed here."""
        self._last = max(int(self._now() * 1000), self._last + 1, after + 1)
        place = f"{self._layout.mesh_name}/{self._layout.relative(key)}"
        return signing.sign(body, self._key, place=place, sequence=self._last)

    def renew(self) -> str:
        """A new key when this one is old; the id of the one before, "" when nothing changed. Nothing else is
        signed anew here: see `citadeld.mending`."""
        if self._now() - (self._directory / KEY).stat().st_mtime < self._days * 86400:
            return ""
        old = self._key.id
        write_public(self._directory / OLD, old.encode())
        self._key = self._make()
        self._signers.pin(self._key.public)
        return old

    async def publish(self, store: Store, authorities: Sequence[Authority]) -> None:
        """Have the papers of the key in the registry, under the root of each authority. Raises StoreError."""
        for authority in authorities:
            place = self._layout.writer(self._key.id, fingerprint(authority.root))
            entry = await store.get(place)
            if entry is not None and self._is_good(entry.value, authority):
                continue
            papers = endorse_as_authority(
                self._key.public,
                authority,
                mesh=self._layout.mesh_name,
                at=datetime.fromtimestamp(self._now(), UTC),
            )
            await store.put(place, papers.encode())
        await self._retire(store)

    async def _retire(self, store: Store) -> None:
        """Remove the papers of the key before this one, when nothing that it signed is left."""
        path = self._directory / OLD
        old = read_public(path)
        if old is None or self._now() - path.stat().st_mtime < KEEP_SECONDS:
            return
        for entry in (await store.list(f"{self._layout.writers}{old.decode()}/")).entries:
            await store.delete(entry.key)
        path.unlink(missing_ok=True)

    def _is_good(self, value: bytes, authority: Authority) -> bool:
        """Whether these are papers for the key, by this authority."""
        try:
            found = Endorsement.decode(value)
            key = check_authority_endorsement(
                found,
                roots_pem=chain_pem([authority.root]),
                trust_domain=self._trust_domain,
                mesh=self._layout.mesh_name,
            )
        except (CertificateRefused, ValueError):
            return False
        return key == self._key.id and found.chain_pem == endorsing_chain(authority)

    def _make(self) -> signing.SigningKey:
        key = signing.SigningKey.new()
        write_secret(self._directory / KEY, key.pem)
        return key


async def learn(store: Store, layout: Layout, signers: Signers) -> None:
    """Read the papers that lie in the registry now. Raises StoreError."""
    for entry in (await store.list(layout.writers)).entries:
        signers.take(entry.key.removeprefix(layout.writers), entry.value)
    signers.again()
