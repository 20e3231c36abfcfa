"""Signs what galleyd writes: its key, the key's papers in the registry, and the change to a new one."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from artemon.daemon.files import read_secret, write_public, write_secret
from artemon.daemon.identity import IdentityKeeper
from artemon.daemon.signers import SIGNED, Signers
from artemon.errors import StoreError
from artemon.log import Log
from artemon.pki import signing
from artemon.pki.endorsement import endorse
from artemon.pki.keys import load_private_key
from artemon.store.api import Check, Entry, Put, Store
from artemon.store.layout import Layout

KEY, OLD_KEY, PUBLIC = "signing.pem", "signing.old.pem", "signing.pub"
AHEAD = 24 * 3600 * 1000
"""Milliseconds by which another replica's clock may be ahead and still be followed."""
BATCH = 32
SECONDS = 600.0


class Signer:
    """Holds the signing key of one galleyd. signers: whose signatures count. keeper: who
    endorses the key. days: how old a key may become."""

    def __init__(
        self,
        store: Store,
        layout: Layout,
        directory: Path,
        *,
        signers: Signers,
        keeper: IdentityKeeper | None,
        days: float,
        log: Log,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._layout, self._directory = store, layout, directory
        self._signers, self._keeper, self._log, self._now = signers, keeper, log, now
        self._key = self._load(KEY) or self._make()
        self._old = self._load(OLD_KEY)
        self._days, self._last = days, 0
        self._turned = asyncio.Event()
        for key in (self._key, *((self._old,) if self._old else ())):
            signers.pin(key.public)

    @property
    def key(self) -> str:
        """The id of the key in use."""
        return self._key.id

    def sign(self, key: str, body: bytes, after: int = 0) -> bytes:
        """The value to be written under `key`; its sequence is above `after` and all that were seen."""
        self._last = max(int(self._now() * 1000), self._last + 1, after + 1)
        place = f"{self._layout.mesh_name}/{self._layout.relative(key)}"
        return signing.sign(body, self._key, place=place, sequence=self._last)

    def seen(self, value: bytes) -> None:
        """A value that lies in the registry: what is written from now on is newer."""
        _, found = signing.split(value)
        if found and self._signers.trusts(found.key) and found.sequence < self._now() * 1000 + AHEAD:
            self._last = max(self._last, found.sequence)

    def sequence(self, entry: Entry) -> int:
        """The sequence of a value that galleyd signed; 0 when nobody did, or somebody else."""
        place = self._layout.relative(entry.key)
        body, found = signing.split(entry.value)
        if found is None or not self._signers.verifies(place, body, found):
            return 0
        return found.sequence

    async def run(self) -> None:
        """Keep the key's papers fresh, and sign anew what an older key of ours signed, until cancelled."""
        while True:
            try:
                await self._publish()
                if self._old is not None:
                    await self._retire(self._old)
            except StoreError as error:
                self._log.warning("signer_not_published", reason=error)
            self._renew()
            await self._pause(SECONDS if self._old is None else 1.0)

    def _renew(self) -> None:
        """A new key when the present one is old."""
        age = self._now() - (self._directory / KEY).stat().st_mtime
        if self._old is None and age > self._days * 86400:
            self.rotate()

    async def _pause(self, seconds: float) -> None:
        """Until the identity is renewed, which endorses anew, or the key changed; or a while."""
        self._turned.clear()
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._turned.wait())]
        if self._keeper is not None:
            waits.append(asyncio.ensure_future(self._keeper.changed(self._keeper.current())))
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def shown(self) -> dict[str, str]:
        """The ids of the key in use, and of the one that it replaces, while it does."""
        return {"key": self._key.id, **({"old": self._old.id} if self._old else {})}

    def rotate(self) -> bool:
        """Sign with a new key from now on; False while the last change is not finished. The old key counts
        until nothing is signed with it any more."""
        if self._old is not None:
            return False
        self._old = self._key
        write_secret(self._directory / OLD_KEY, self._old.pem)
        self._key = self._make()
        self._signers.pin(self._key.public)
        self._log.info("signing_key_changed", old=self._old.id, new=self._key.id)
        self._turned.set()
        return True

    async def _publish(self) -> None:
        if self._keeper is None:
            return
        identity = self._keeper.current()
        for key in (self._key, *((self._old,) if self._old else ())):
            papers = endorse(
                key.public,
                key=load_private_key(identity.key_pem),
                chain_pem=identity.cert_chain_pem,
                mesh=self._layout.mesh_name,
                at=datetime.fromtimestamp(self._now(), UTC),
            )
            await self._store.put(self._layout.signer(key.id), papers.encode())

    async def _retire(self, old: signing.SigningKey) -> None:
        """Sign anew what `old` signed; then it is forgotten."""
        entries = (await self._store.list(self._layout.root)).entries
        mine = [entry for entry in entries if self._layout.relative(entry.key).startswith(SIGNED)]
        left = [entry for entry in mine if (found := signing.split(entry.value)[1]) and found.key == old.id]
        for entry in left:
            if sequence := self.sequence(entry):
                body, _ = signing.split(entry.value)
                fresh = self.sign(entry.key, body, sequence)
                await self._store.txn([Check(entry.key, entry.version)], [Put(entry.key, fresh)])
        if not left:
            await self._store.delete(self._layout.signer(old.id))
            (self._directory / OLD_KEY).unlink(missing_ok=True)
            self._old = None
            self._log.info("signing_key_retired", old=old.id)
        else:
            self._log.info("signed_anew", objects=len(left))

    def _load(self, name: str) -> signing.SigningKey | None:
        found = read_secret(self._directory / name)
        return None if found is None else signing.SigningKey.load(found)

    def _make(self) -> signing.SigningKey:
        key = signing.SigningKey.new()
        write_secret(self._directory / KEY, key.pem)
        write_public(self._directory / PUBLIC, base64.b64encode(key.public) + b"\n")
        return key
