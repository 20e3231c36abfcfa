"""Making certificates and identities good for nothing, and keeping the lists that say so.

Whoever is asked writes the records; each replica signs the lists of the authorities whose keys it has, as
soon as it sees a record. A record is written once and goes when its certificate has expired."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from artemon.errors import ArtemonError
from artemon.model.trust import IDENTITIES, LISTS, REVOKED, SERIALS
from artemon.pki.certificate import Authority, fingerprint
from artemon.pki.errors import CertificateRefused
from artemon.pki.revocation import (
    Ban,
    Revocation,
    RevocationList,
    half_over,
    make_list,
)
from artemon.pki.spiffe import SpiffeId
from artemon.store.api import ABSENT, Batch, Bookmark, Check, Delete, Entry, Op, Put, Stale, Store
from citadeld.decision import Denied, Reason
from citadeld.draining import Draining
from citadeld.sealed import LIFTED

AT_ONCE = 30
ATTEMPTS = 10
LIST_SECONDS = 10.0
POLL_SECONDS = 0.05


def ban_key(identity: SpiffeId) -> str:
    """Under the mesh's prefix."""
    return f"{IDENTITIES}{identity.namespace}/{identity.service_account}"


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate as the registry remembers it. serial: hexadecimal."""

    serial: str
    identity: str
    node: str
    issuer: str
    not_before: str
    not_after: str
    issued: str

    @classmethod
    def of(cls, entry: Entry) -> Issued | None:
        """From the entry under `trust/issued/`; None when it cannot be read."""
        try:
            content = json.loads(entry.value)
            datetime.fromisoformat(content["notAfter"])
            names = ("identity", "node", "issuer", "notBefore", "notAfter", "issued")
            return cls(entry.key.rpartition("/")[2], *(str(content[name]) for name in names))
        except (ValueError, TypeError, KeyError):
            return None

    def is_live(self, now: datetime) -> bool:
        """Whether it has not expired."""
        return datetime.fromisoformat(self.not_after) > now


@dataclass(frozen=True, slots=True)
class Done:
    """What a revocation did. revision: of the registry, that everyone must have."""

    certificates: int
    revision: int


@dataclass(slots=True)
class Known:
    """What is revoked, as this replica has last read it. serials: hexadecimal."""

    identities: frozenset[str] = frozenset()
    serials: frozenset[str] = frozenset()

    def refuses(self, identity: SpiffeId, serial: str) -> bool:
        """Whether who shows this certificate is refused."""
        return str(identity) in self.identities or serial in self.serials


@dataclass(frozen=True, slots=True)
class Revoker:
    """Revokes. authorities: those whose keys this replica has."""

    store: Store
    prefix: str
    authorities: Callable[[], Sequence[Authority]]
    now: Callable[[], datetime]
    known: Known = field(default_factory=Known)
    _signing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def draining(self) -> Draining:
        """Ends open connections."""
        return Draining(self.store, self.prefix, self.now)

    async def issued(self) -> list[Issued]:
        """Every live certificate, the newest last. Raises StoreError."""
        found = await self.store.list(f"{self.prefix}trust/issued/")
        every = (Issued.of(entry) for entry in found.entries)
        return sorted((one for one in every if one and one.is_live(self.now())), key=lambda one: one.issued)

    async def revoked(self) -> dict[str, Revocation]:
        """What is revoked, by serial."""
        found = await self.store.list(self.prefix + SERIALS)
        return {one.serial: one for one in (Revocation.decode(entry.value) for entry in found.entries)}

    async def bans(self) -> list[Ban]:
        """Who is banned."""
        found = await self.store.list(self.prefix + IDENTITIES)
        return [Ban.decode(entry.value) for entry in found.entries]

    async def revoke_serial(self, serial: str, *, by: str, reason: str) -> Done:
        """One certificate. Raises Denied when there is no live one with this serial, StoreError."""
        found = [one for one in await self.issued() if one.serial == serial]
        if not found:
            raise Denied(Reason.NOT_FOUND, f"there is no live certificate with the serial {serial}")
        done = await self._revoke(found, by=by, reason=reason)
        return Done(done.certificates, max(done.revision, await self.draining.drain(done.revision)))

    async def ban(self, identity: SpiffeId, *, by: str, reason: str) -> Done:
        """An identity with all its certificates. From now on nothing is issued for it. Raises StoreError."""
        now = self.now()
        record = Ban(str(identity), now.isoformat(), by, reason)
        puts = [Put(self.prefix + ban_key(identity), record.encode()), self.draining.put(now)]
        result = await self.store.txn((), puts)  # one change of listeners, not two
        live = [one for one in await self.issued() if one.identity == str(identity)]
        done = await self._revoke(live, by=by, reason=reason, at=now)
        return Done(done.certificates, max(done.revision, result.position.revision))

    async def reinstate(self, identity: SpiffeId) -> int:
        """The identity may have new certificates; its old ones stay revoked. Raises Denied, StoreError."""
        key = self.prefix + ban_key(identity)
        if await self.store.get(key) is None:
            raise Denied(Reason.NOT_FOUND, f"{identity} is not banned")
        lifted = json.dumps({"identity": str(identity), "at": self.now().isoformat()}).encode()
        where = f"{self.prefix}{LIFTED}{identity.namespace}/{identity.service_account}"
        return (await self.store.txn((), [Delete(key), Put(where, lifted)])).position.revision

    async def _revoke(
        self, found: Sequence[Issued], *, by: str, reason: str, at: datetime | None = None
    ) -> Done:
        now = (at or self.now()).isoformat()
        for start in range(0, len(found), AT_ONCE):
            puts: list[Op] = [
                Put(
                    f"{self.prefix}{SERIALS}{one.serial}",
                    Revocation(
                        one.serial, one.identity, one.node, one.issuer, one.not_after, now, by, reason
                    ).encode(),
                )
                for one in found[start : start + AT_ONCE]
            ]
            await self.store.txn((), puts)
        await self.sign_lists()
        return Done(len(found), await self._listed(found))

    async def _listed(self, found: Sequence[Issued]) -> int:
        """The revision at which the lists of all issuers name these. Raises Denied: a replica is silent."""
        deadline = self.now() + timedelta(seconds=LIST_SECONDS)
        wanted = {
            one.issuer: {int(other.serial, 16) for other in found if other.issuer == one.issuer}
            for one in found
        }
        revision = 0
        while wanted:
            for issuer in list(wanted):
                entry = await self.store.get(f"{self.prefix}{LISTS}{issuer}")
                if entry is not None and wanted[issuer] <= RevocationList.decode(entry.value).serials:
                    revision = max(revision, entry.version)
                    del wanted[issuer]
            if wanted and self.now() > deadline:
                raise Denied(
                    Reason.NOT_NOW,
                    f"it is written down, but the citadeld with the authority {min(wanted)} has not signed "
                    "its revocation list: is it running?",
                )
            if wanted:
                await asyncio.sleep(POLL_SECONDS)
        return revision

    async def sign_lists(self, *more: Authority) -> None:
        """Bring the lists of this replica's authorities, and of `more`, up to date. Raises StoreError,
        CertificateRefused."""
        async with self._signing:
            await self._learn()
            for authority in (*self.authorities(), *more):
                await self._sign(authority)

    async def _learn(self) -> None:
        self.known.serials = frozenset(await self.revoked())
        self.known.identities = frozenset(ban.identity for ban in await self.bans())

    async def _sign(self, authority: Authority) -> None:
        name = fingerprint(authority.certificate)
        key = f"{self.prefix}{LISTS}{name}"
        for _ in range(ATTEMPTS):
            entry = await self.store.get(key)
            before = RevocationList.decode(entry.value) if entry else None
            wanted = [one for one in (await self.revoked()).values() if one.issuer == name]
            named = {int(one.serial, 16) for one in wanted}
            if before and before.serials == named and not half_over(before.crl, self.now()):
                return
            number = before.number + 1 if before else 1
            made = make_list(authority, wanted, fingerprint=name, number=number, now=self.now())
            version = entry.version if entry else ABSENT
            if (await self.store.put(key, made.encode(), if_version=version)).ok:
                return
        raise ArtemonError(f"the revocation list of {name} is written by others all the time")

    async def follow(self, failed: Callable[[BaseException], None]) -> None:
        """Sign whenever another replica wrote a record, until cancelled."""
        async for item in self.store.watch(self.prefix + REVOKED):
            if isinstance(item, Stale | Bookmark):
                continue
            if isinstance(item, Batch) and all(
                one.key.startswith(self.prefix + LISTS) for one in item.changes
            ):
                continue
            try:
                await self.sign_lists()
            except ArtemonError as error:
                failed(error)

    async def sweep(self, keep: timedelta) -> int:
        """Remove records of what expired `keep` ago, and lists of authorities that expired; how many."""
        over = self.now() - keep
        gone: list[tuple[str, int]] = []
        for entry in (await self.store.list(self.prefix + REVOKED)).entries:
            if self._is_over(entry, over):
                gone.append((entry.key, entry.version))
        for start in range(0, len(gone), AT_ONCE):
            part = gone[start : start + AT_ONCE]
            checks = [Check(key, version=version) for key, version in part]
            await self.store.txn(checks, [Delete(key) for key, _ in part])
        if gone:
            await self.sign_lists()
        return len(gone)

    def _is_over(self, entry: Entry, over: datetime) -> bool:
        try:
            if entry.key.startswith(self.prefix + SERIALS):
                return datetime.fromisoformat(Revocation.decode(entry.value).notAfter) < over
            if entry.key.startswith(self.prefix + LISTS):
                end = RevocationList.decode(entry.value).crl.next_update_utc
                return end is not None and end < over
        except (CertificateRefused, ValueError):
            return False
        return False
