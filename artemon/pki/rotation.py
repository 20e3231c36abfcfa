"""The rotation of a root, phase by phase. Pure: from a state and what is known to the next state.

    prepare    the new root exists, nobody trusts it
    trust      everyone trusts both; certificates are issued under the old one
    activate   everyone trusts both; certificates are issued under the new one
    taint      whoever still has a certificate under the old one renews
    revoke     everyone trusts the new one alone

A phase is left when everyone has confirmed what it brought. Going back is a rotation in the other direction:
old and new change places, and it begins at the phase that undoes the one reached.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from artemon.pki.errors import CertificateRefused

ROTATION = "trust/rotation"
"""Its state, under the mesh's prefix."""


class Phase(StrEnum):
    """How far a rotation is."""

    IDLE = "idle"
    PREPARE = "prepare"
    TRUST = "trust"
    ACTIVATE = "activate"
    TAINT = "taint"
    REVOKE = "revoke"


NEXT: Mapping[Phase, Phase] = {
    Phase.PREPARE: Phase.TRUST,
    Phase.TRUST: Phase.ACTIVATE,
    Phase.ACTIVATE: Phase.TAINT,
    Phase.TAINT: Phase.REVOKE,
    Phase.REVOKE: Phase.IDLE,
}
BACK: Mapping[Phase, Phase] = {
    Phase.PREPARE: Phase.REVOKE,
    Phase.TRUST: Phase.REVOKE,
    Phase.ACTIVATE: Phase.ACTIVATE,
    Phase.TAINT: Phase.ACTIVATE,
    Phase.REVOKE: Phase.TRUST,
}
"""Phase -> where a rotation in the other direction begins."""


@dataclass(frozen=True, slots=True)
class RotationState:
    """old, new: SHA-256 of the roots. since: when the phase began, RFC 3339. by: who wanted it."""

    phase: Phase = Phase.IDLE
    old: str = ""
    new: str = ""
    since: str = ""
    by: str = ""

    def encode(self) -> bytes:
        """The registry's value."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, value: bytes) -> RotationState:
        """From a registry value. Raises CertificateRefused."""
        try:
            found = json.loads(value)
            texts = (str(found[name]) for name in ("old", "new", "since", "by"))
            return cls(Phase(found["phase"]), *texts)
        except (ValueError, TypeError, KeyError) as error:
            raise CertificateRefused(f"the state of the rotation cannot be read: {error!r}") from error

    @property
    def roots(self) -> tuple[str, ...]:
        """Whom everyone shall trust, the one under which certificates are issued first; () when idle."""
        return {
            Phase.IDLE: (),
            Phase.PREPARE: (self.old,),
            Phase.TRUST: (self.old, self.new),
            Phase.ACTIVATE: (self.new, self.old),
            Phase.TAINT: (self.new, self.old),
            Phase.REVOKE: (self.new,),
        }[self.phase]

    def begun(self, *, old: str, new: str, now: datetime, by: str) -> RotationState:
        """A new rotation. Raises CertificateRefused while one is under way."""
        if self.phase is not Phase.IDLE:
            raise CertificateRefused(f"a rotation is under way, in phase {self.phase}")
        return RotationState(Phase.PREPARE, old, new, now.isoformat(), by)

    def back(self, *, now: datetime, by: str) -> RotationState:
        """The same rotation, undone. Raises CertificateRefused when there is none."""
        if self.phase is Phase.IDLE:
            raise CertificateRefused("no rotation is under way")
        return RotationState(BACK[self.phase], self.new, self.old, now.isoformat(), by)

    def onward(self, *, now: datetime) -> RotationState:
        """The next phase."""
        return replace(self, phase=NEXT[self.phase], since=now.isoformat())


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a certificate, by its newest one. connected: its proxy speaks to pilotd. seen: up to
    which revision of the bundle it has confirmed."""

    name: str
    under_new: bool
    connected: bool
    seen: int = 0


def behind(state: RotationState, holders: Sequence[Holder], *, bundle: int) -> list[str]:
    """Who holds up the phase, and why. bundle: the revision at which the bundle of the phase was written.

    Whoever is not connected holds up what it would not survive, until its certificate has expired.
    """
    found = []
    for one in holders:
        if one.connected and one.seen < bundle and state.phase is not Phase.PREPARE:
            found.append(f"{one.name}: has not confirmed whom to trust")
        elif not one.connected and not one.under_new and state.phase in (Phase.TRUST, Phase.TAINT):
            found.append(f"{one.name}: is not connected, and its certificate has not expired")
        elif not one.under_new and state.phase is Phase.TAINT:
            found.append(f"{one.name}: has a certificate under the old root")
    return found


def may_go_on(state: RotationState, late: Sequence[str], *, now: datetime, dwell: timedelta) -> bool:
    """Whether the phase can be left. dwell: how long whoever asks from time to time (daemons) may take."""
    if state.phase is Phase.IDLE or late:
        return False
    waits = state.phase in (Phase.TRUST, Phase.ACTIVATE, Phase.TAINT)
    return not waits or now - datetime.fromisoformat(state.since) >= dwell
