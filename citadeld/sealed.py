"""The registry as citadeld uses it: what it writes under `trust/` is signed, and what it reads there was.

Reading a value that is not citadeld's gives the last good one of its place, with the version of what lies
there, so that the next write puts it right; where there is none, it raises, or leaves the value out. Whom to
trust is not answered from memory when somebody unknown signed it: the root may have been rotated while this
replica was away, and it must not undo that.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace

from artemon.daemon.signers import TRUST, Forged, Signers
from artemon.model.trust import REVOKED
from artemon.pki import signing
from artemon.pki.rotation import ROTATION
from artemon.store.api import (
    Batch,
    Check,
    Delete,
    Entry,
    Op,
    Put,
    Snapshot,
    Store,
    TxnResult,
    WatchItem,
)
from artemon.store.base import Forwarding
from artemon.store.layout import Layout

LIFTED = "trust/lifted/"
"""Who was reinstated, and when: without it, a ban that is gone was taken away by somebody else."""
LASTING = (*TRUST, ROTATION, LIFTED)
"""What stays: its last good value is remembered, and an older one does not come back."""
BRIEF = ("trust/issued/", "trust/tokens/", "trust/granted/", "trust/replicas/")
"""What goes within a day."""
SIGNED_HERE = (*LASTING, *BRIEF)
MAX_SEEN = 50_000


class SealedStore(Forwarding):
    """A `Store` (see there). sign: the value for a key (below the mesh's root), newer than a sequence.
    learn: reads the papers of signing keys again. found: told of a value that is not citadeld's, and why;
    of "" when it is again."""

    def __init__(
        self,
        store: Store,
        layout: Layout,
        signers: Signers,
        *,
        sign: Callable[[str, bytes, int], bytes],
        learn: Callable[[], Awaitable[None]],
        found: Callable[[str, str, str], None],
    ) -> None:
        super().__init__(store)
        self._layout, self._signers = layout, signers
        self._sign, self._learn, self._found = sign, learn, found
        self._good: dict[str, bytes] = {}
        self._seen: dict[str, bytes] = {}
        self._forged: set[str] = set()

    def last_good(self, key: str) -> bytes | None:
        """The last good value of what lasts, as it was signed."""
        return self._good.get(key)

    def lasting(self, prefix: str) -> list[str]:
        """The keys under `prefix` that have a last good value."""
        return [key for key in self._good if key.startswith(prefix)]

    def remember(self, key: str, value: bytes) -> None:
        """A signed value that is good: written here, or good when this process ran before."""
        self._good[key] = value
        if (signature := signing.split(value)[1]) is not None:
            self._signers.newest(self._layout.relative(key), signature.sequence)

    def forget(self, key: str) -> None:
        """It is rightly gone."""
        self._good.pop(key, None)

    async def get(self, key: str) -> Entry | None:
        """The entry. Raises Forged where there is nothing good, but for tokens: those count as absent."""
        entry = await self.plain.get(key)
        if entry is None:
            self._told(key)
            return None
        try:
            return await self._open(entry)
        except Forged:
            if key.startswith(self._layout.tokens):
                return None
            raise

    async def list(self, prefix: str) -> Snapshot:
        """All entries, without those that are not citadeld's."""
        found = await self.plain.list(prefix)
        entries = [one for entry in found.entries if (one := await self.opened(entry)) is not None]
        return replace(found, entries=tuple(entries))

    async def watch(self, prefix: str) -> AsyncIterator[WatchItem]:
        """As `Store.watch`, without what is not citadeld's."""
        async for item in self.plain.watch(prefix):
            if isinstance(item, Snapshot):
                entries = [one for entry in item.entries if (one := await self.opened(entry)) is not None]
                yield replace(item, entries=tuple(entries))
            elif isinstance(item, Batch):
                changes = [
                    found
                    for one in item.changes
                    if (found := await self.opened(one) if isinstance(one, Entry) else one) is not None
                ]
                yield replace(item, changes=tuple(changes))
            else:
                yield item

    async def txn(self, checks: Sequence[Check], ops: Sequence[Op]) -> TxnResult:
        """As `Store.txn`; what is put is signed."""
        sealed = [self._sealed(op) for op in ops]
        result = await self.plain.txn(checks, sealed)
        if result.ok:
            for op in sealed:
                self._wrote(op)
        return result

    def _sealed(self, op: Op) -> Op:
        place = self._layout.relative(op.key)
        if isinstance(op, Delete) or not place.startswith(SIGNED_HERE):
            return op
        return replace(op, value=self._sign(op.key, op.value, self._signers.newest(place)))

    def _wrote(self, op: Op) -> None:
        if not self._layout.relative(op.key).startswith(LASTING):
            return
        if isinstance(op, Put):
            self.remember(op.key, op.value)
        else:
            self.forget(op.key)
        self._told(op.key)

    async def opened(self, entry: Entry) -> Entry | None:
        """The entry with what citadeld wrote, or the last good; None where there is nothing good."""
        try:
            return await self._open(entry)
        except Forged:
            return None

    async def _open(self, entry: Entry) -> Entry:
        """The entry with what was signed, or the last good. Raises Forged."""
        place = self._layout.relative(entry.key)
        if not place.startswith(SIGNED_HERE):
            return entry
        try:
            body = await self._body(place, entry.value)
        except Forged as error:
            if entry.key not in self._forged:
                self._forged.add(entry.key)
                self._found(entry.key, error.reason, str(error))
            good = self._good.get(entry.key)
            if good is None or (error.reason == "unknown" and not place.startswith(REVOKED)):
                raise
            return replace(entry, value=signing.split(good)[0])
        if place.startswith(LASTING):
            self._good[entry.key] = entry.value
        self._told(entry.key)
        return replace(entry, value=body)

    @property
    def forged(self) -> frozenset[str]:
        """The keys whose values are not citadeld's."""
        return frozenset(self._forged)

    async def _body(self, place: str, value: bytes) -> bytes:
        body, signature = signing.split(value)
        digest = hashlib.sha256(value).digest()
        if self._seen.get(place) == digest:
            return body  # looked at before: lists are read again and again
        if signature is not None and not self._signers.trusts(signature.key):
            await self._learn()
        if place.startswith(LASTING):
            return self._signers.body(place, value)
        body = self._signers.body(place, value, once=True)
        if len(self._seen) >= MAX_SEEN:
            self._seen.clear()
        self._seen[place] = digest
        return body

    def _told(self, key: str) -> None:
        if key in self._forged:
            self._forged.discard(key)
            self._found(key, "", "")
