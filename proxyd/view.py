"""What this proxy is to be configured with: the last good of everything, and what is on trial.

Pure. A resource that arrives is on trial until Envoy has accepted it; then it is good. One that Envoy refuses
is dropped, and the good one stays in force. A response of pilotd is answered when nothing of it is on trial.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from artemon.xds.client import Update
from artemon.xds.resource import Resource
from artemon.xds.subscription import EVERYTHING
from artemon.xds.types import CLUSTER, PUSH_ORDER, WILDCARD

Sent = Mapping[str, str]
"""Names in a response to Envoy, with versions; the version of a removed one is empty."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What to tell pilotd about one response; an empty error means accepted."""

    type_url: str
    nonce: str
    error: str = ""


@dataclass(slots=True)
class _Type:
    good: dict[str, Resource] = field(default_factory=dict)
    trial: dict[str, Resource | None] = field(default_factory=dict)
    wanted: frozenset[str] = frozenset()

    def version_on_trial(self, name: str) -> str:
        entry = self.trial[name]
        return entry.version if entry else ""


@dataclass(slots=True)
class _Pending:
    update: Update
    errors: list[str] = field(default_factory=list)

    def says(self, name: str, version: str) -> bool:
        entry = self.update.resources.get(name)
        return entry.version == version if entry else (not version and name in self.update.removed)


class View:
    """All types of one proxy. `never_empty`: types never wholly removed: that is a fault of the sender."""

    def __init__(
        self, good: Mapping[str, Mapping[str, Resource]], *, never_empty: Iterable[str] = (CLUSTER,)
    ) -> None:
        self._types = {url: _Type(good=dict(entries)) for url, entries in good.items()}
        for url in PUSH_ORDER:
            self._types.setdefault(url, _Type())
        for url, kind in self._types.items():
            kind.wanted = frozenset({EVERYTHING} if url in WILDCARD else kind.good)
        self._never_empty = frozenset(never_empty)
        self._pending: list[_Pending] = []

    @property
    def types(self) -> tuple[str, ...]:
        """The type URLs known, in the order in which they were first heard of."""
        return tuple(self._types)

    def good(self) -> dict[str, dict[str, Resource]]:
        """What Envoy has accepted: what is worth keeping."""
        return {url: dict(kind.good) for url, kind in self._types.items()}

    def held(self) -> dict[str, dict[str, str]]:
        """Names and versions for a new stream to pilotd: what is desired, so that it corrects all of it."""
        return {url: {n: e.version for n, e in self.desired(url).items()} for url in self._types}

    def desired(self, type_url: str) -> dict[str, Resource]:
        """What Envoy should have: what is on trial where there is something, else what is good."""
        kind = self._types.get(type_url, _Type())
        merged: dict[str, Resource | None] = {**kind.good, **kind.trial}
        return {name: entry for name, entry in merged.items() if entry is not None}

    def wanted(self, type_url: str) -> frozenset[str]:
        """What to subscribe to at pilotd."""
        return self._types[type_url].wanted if type_url in self._types else frozenset()

    def want(self, type_url: str, names: frozenset[str], *, exactly: bool) -> bool:
        """Envoy wants these. exactly: it has shown that it wants no others. Whether this changed anything.

        A new stream of Envoy's names its wishes little by little; until it has, the old ones stay.
        """
        kind = self._types.setdefault(type_url, _Type())
        wanted = names if exactly else kind.wanted | names
        if type_url in WILDCARD or wanted == kind.wanted:
            return False
        for name in kind.wanted - wanted:
            kind.good.pop(name, None)
            kind.trial.pop(name, None)
        kind.wanted = wanted
        return True

    def restart(self) -> None:
        """The stream to pilotd is a new one: what the old one left unanswered stays on trial, unanswered."""
        self._pending.clear()

    def take(self, update: Update) -> None:
        """What pilotd says goes on trial."""
        kind = self._types.setdefault(update.type_url, _Type())
        pending = _Pending(update)
        self._pending.append(pending)
        if update.type_url in self._never_empty and update.removed and not update.resources:
            have = self.desired(update.type_url)
            if have and not have.keys() - update.removed:
                pending.errors.append(f"would remove all {len(have)} resources of the type; they are kept")
                return
        for name, entry in update.resources.items():
            if kind.good.get(name) == entry:
                kind.trial.pop(name, None)
            elif asked_for(update.type_url, kind.wanted, name):
                kind.trial[name] = entry
        for name in update.removed:
            if name in kind.good:
                kind.trial[name] = None
            else:
                kind.trial.pop(name, None)

    def accepted(self, type_url: str, sent: Sent) -> None:
        """Envoy has taken a response with these names and versions."""
        kind = self._types[type_url]
        for name, version in sent.items():
            if name not in kind.trial or kind.version_on_trial(name) != version:
                continue
            entry = kind.trial.pop(name)
            if entry is None:
                kind.good.pop(name, None)
            else:
                kind.good[name] = entry

    def refused(self, type_url: str, sent: Sent, reason: str) -> tuple[str, ...]:
        """Envoy has refused a response. What its reason names goes, or all when it names none.

        Envoy takes clusters and listeners one by one, and names those that it refuses. Returns what goes.
        """
        kind = self._types[type_url]
        culprits = tuple(name for name in sent if names(reason, name)) or tuple(sent)
        for name in culprits:
            if name in kind.trial and kind.version_on_trial(name) == sent[name]:
                del kind.trial[name]
            for pending in self._pending:
                if pending.update.type_url == type_url and pending.says(name, sent[name]):
                    pending.errors.append(reason)
        self.accepted(type_url, {name: sent[name] for name in sent if name not in culprits})
        return culprits

    def answers(self) -> list[Answer]:
        """The responses of pilotd that can be answered now; each is returned once."""
        settled = [pending for pending in self._pending if self._settled(pending)]
        self._pending = [pending for pending in self._pending if pending not in settled]
        return [
            Answer(pending.update.type_url, pending.update.nonce, "; ".join(dict.fromkeys(pending.errors)))
            for pending in settled
        ]

    def _settled(self, pending: _Pending) -> bool:
        update = pending.update
        trial = self._types[update.type_url].trial
        return bool(pending.errors) or not (trial.keys() & (update.resources.keys() | update.removed))


def asked_for(type_url: str, wanted: frozenset[str], name: str) -> bool:
    """Whether a resource of this name was asked for."""
    return type_url in WILDCARD or name in wanted or EVERYTHING in wanted


def names(reason: str, name: str) -> bool:
    """Whether Envoy's reason names this resource, and not one whose name merely contains it."""
    at = reason.find(name)
    while at >= 0:
        before, after = reason[at - 1 : at], reason[at + len(name) : at + len(name) + 1]
        if not _part(before) and not _part(after):
            return True
        at = reason.find(name, at + 1)
    return False


def _part(character: str) -> bool:
    return character.isalnum() or (bool(character) and character in "_-|.[]")
