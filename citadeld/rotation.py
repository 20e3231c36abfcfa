"""Rotating the root: the replica that leads takes it from phase to phase, fenced by its election."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cryptography import x509

from artemon.daemon.audit import AuditLog
from artemon.errors import ArtemonError, StoreError
from artemon.log import Log
from artemon.pki.bundle import BUNDLE_KEY, Bundle
from artemon.pki.certificate import Authority, fingerprint
from artemon.pki.errors import CertificateRefused
from artemon.pki.request import leads_to
from artemon.pki.rotation import ROTATION, Holder, Phase, RotationState, behind, may_go_on
from artemon.pki.spiffe import SpiffeId
from artemon.store.api import ABSENT, Check, Election, Entry, Put, Store
from citadeld.decision import Denied, Reason
from citadeld.fellows import Fellows
from citadeld.revoker import Issued, Revoker
from citadeld.rooms import Rooms

STEP_SECONDS = 1.0
ROLE = "election/rotation"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the rotation is, and who holds it up."""

    state: RotationState
    bundle: Bundle
    total: int
    late: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rotation:
    """The rotation of one mesh, as a replica sees it. refresh: has it issue under the first root."""

    store: Store
    prefix: str
    rooms: Rooms
    revoker: Revoker
    audit: AuditLog
    log: Log
    now: Callable[[], datetime]
    dwell: timedelta
    refresh: Callable[[], Awaitable[None]]
    fellows: Fellows
    issuing: Callable[[], Authority]
    """What this replica issues under at the moment."""

    async def run(self, election: Election) -> None:
        """Take part: with the other replicas, and step while leading, until cancelled."""
        known: tuple[x509.Certificate, ...] = ()
        while True:
            try:
                known = await self._take_part(known)
                if election.leading.is_set():
                    await self.step(election)
            except (ArtemonError, OSError, ValueError) as error:
                self.log.error("rotation_step_failed", reason=error)
            await asyncio.sleep(STEP_SECONDS)

    async def _take_part(self, known: tuple[x509.Certificate, ...]) -> tuple[x509.Certificate, ...]:
        """Have what this replica needs under the roots of the moment; issue under others when they change."""
        entry, (state, _) = await self.store.get(self.prefix + BUNDLE_KEY), await self._state()
        if entry is None:
            return known
        roots = Bundle.decode(entry.value).roots
        wanted = state.new if state.phase is not Phase.IDLE else fingerprint(roots[0])
        taken = await self.fellows.work(roots, wanted, self.issuing())
        if taken or (known and known != roots):
            await self.refresh()
        return roots

    async def step(self, election: Election) -> None:
        """Go on to the next phase, if everyone has confirmed this one. Raises StoreError."""
        standing = await self.standing()
        state = standing.state
        if state.phase is not Phase.IDLE and standing.bundle.roots != self._roots(state, standing.bundle):
            await self._write(election, state, state)  # a crash between two phases
            return
        if may_go_on(state, standing.late, now=self.now(), dwell=self.dwell):
            await self._write(election, state, state.onward(now=self.now()))

    async def begin(self, election: Election, *, by: str) -> None:
        """Make a new root and start to rotate to it. Raises Denied, StoreError."""
        standing = await self.standing()
        self._leads(election)
        old = fingerprint(standing.bundle.roots[0])
        if standing.state.phase is not Phase.IDLE:
            raise Denied(Reason.NOT_ALLOWED, f"a rotation is under way, in phase {standing.state.phase}")
        new = fingerprint(await asyncio.to_thread(self.rooms.make))
        await self._write(
            election, standing.state, standing.state.begun(old=old, new=new, now=self.now(), by=by)
        )

    async def undo(self, election: Election, *, by: str) -> None:
        """Turn round. Raises Denied when no rotation is under way, StoreError."""
        state = (await self.standing()).state
        self._leads(election)
        try:
            await self._write(election, state, state.back(now=self.now(), by=by))
        except CertificateRefused as error:
            raise Denied(Reason.NOT_ALLOWED, str(error)) from error

    @staticmethod
    def _leads(election: Election) -> None:
        if not election.leading.is_set():
            raise Denied(Reason.NOT_NOW, "another replica leads rotations; ask that one, or again in a while")

    async def standing(self) -> Standing:
        """Where it is. Raises StoreError, CertificateRefused."""
        entry = await self.store.get(self.prefix + BUNDLE_KEY)
        if entry is None:
            raise CertificateRefused("there is no trust bundle yet")
        bundle, state = Bundle.decode(entry.value), (await self._state())[0]
        holders = await self._holders(state, bundle, entry)
        late = (*behind(state, holders, bundle=entry.version), *await self._replicas_behind(state, bundle))
        return Standing(state, bundle, len(holders), late)

    async def _replicas_behind(self, state: RotationState, bundle: Bundle) -> list[str]:
        """Replicas of citadeld that could not issue under the new root yet."""
        if state.phase not in (Phase.PREPARE, Phase.TRUST):
            return []
        room = self.rooms.of(state.new)
        if room is None:
            return ["this replica of citadeld: has no intermediate under the new root"]
        root, found = room.root(), []
        published = {fingerprint(one) for one in bundle.intermediates if leads_to(one, root)}
        for fellow in await self.fellows.present():
            waits = fellow.request is not None and fellow.request.root == state.new
            if state.phase is Phase.TRUST and not published & fellow.intermediates:
                found.append(f"citadeld {fellow.node}: has not published its intermediate under the new root")
            elif state.phase is Phase.PREPARE and (waits or not fellow.has(state.new)):
                found.append(f"citadeld {fellow.node}: has no intermediate under the new root")
        return found

    async def _state(self) -> tuple[RotationState, int]:
        entry = await self.store.get(self.prefix + ROTATION)
        return (RotationState.decode(entry.value), entry.version) if entry else (RotationState(), ABSENT)

    async def _holders(self, state: RotationState, bundle: Bundle, entry: Entry) -> list[Holder]:
        """Everyone with a live certificate, by the newest of each, and all connected proxies."""
        new = next((one for one in bundle.roots if fingerprint(one) == state.new), None)
        under = {fingerprint(one) for one in bundle.intermediates if new is not None and leads_to(one, new)}
        revoked = await self.revoker.revoked()
        newest: dict[str, Issued] = {}
        for one in await self.revoker.issued():
            if one.serial not in revoked:
                newest[_name(one)] = one
        seen = await self._seen()
        return [
            Holder(
                name,
                newest[name].issuer in under if name in newest else True,
                name in seen or SpiffeId.parse(newest[name].identity).is_system,
                seen.get(name, entry.version),
            )
            for name in sorted({*newest, *seen})
        ]

    async def _seen(self) -> dict[str, int]:
        """Connected proxy -> up to which revision it has confirmed the bundle."""
        found = {}
        prefix = f"{self.prefix}status/proxies/"
        for entry in (await self.store.list(prefix)).entries:
            try:
                found[entry.key.removeprefix(prefix)] = int(json.loads(entry.value)["trust"]["bundle"])
            except (ValueError, TypeError, KeyError):
                found[entry.key.removeprefix(prefix)] = 0
        return found

    def _roots(self, state: RotationState, bundle: Bundle) -> tuple[x509.Certificate, ...]:
        known = {fingerprint(one): one for one in bundle.roots}
        known |= {fingerprint(room.root()): room.root() for room in self.rooms.every()}
        missing = [root for root in state.roots if root not in known]
        if missing:
            raise CertificateRefused(f"the root {missing[0]} is not here: another replica has to lead")
        return tuple(known[root] for root in state.roots) or bundle.roots

    async def _write(self, election: Election, before: RotationState, after: RotationState) -> None:
        """State and bundle in one transaction, which passes only while we lead and nobody else wrote."""
        await self.audit.append("rotation", phase=str(after.phase), old=after.old, new=after.new, by=after.by)
        found, version = await self._state()
        entry = await self.store.get(self.prefix + BUNDLE_KEY)
        if found != before or entry is None:
            raise StoreError("the rotation was changed by another at the same time")
        bundle = Bundle.decode(entry.value)
        roots = self._roots(after, bundle)
        checks = [election.check(), Check(self.prefix + ROTATION, version)]
        ops = [Put(self.prefix + ROTATION, after.encode())]
        if roots != bundle.roots:
            fresh = replace(bundle, sequence=bundle.sequence + 1, roots=roots)
            checks.append(Check(self.prefix + BUNDLE_KEY, entry.version))
            ops.append(Put(self.prefix + BUNDLE_KEY, fresh.encode()))
        if not (await self.store.txn(checks, ops)).ok:
            raise StoreError("the rotation was changed by another, or we do not lead it any more")
        self.log.info("rotation", phase=str(after.phase), old=after.old[:16], new=after.new[:16], by=after.by)
        await self.refresh()


def _name(one: Issued) -> str:
    """As pilotd names a proxy: node and namespace; the identity where no node was told."""
    identity = SpiffeId.parse(one.identity)
    return f"{one.node}.{identity.namespace}" if one.node else one.identity


def names(roots: Sequence[x509.Certificate]) -> list[str]:
    """The fingerprints."""
    return [fingerprint(root) for root in roots]
