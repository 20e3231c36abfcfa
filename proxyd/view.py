"""What this proxy is to be configured with: the last good of everything, and what is on trial.

Pure. A resource that arrives is on trial until Envoy has accepted it; then it is good. One that Envoy refuses
is dropped, and the good one stays in force. A response of pilotd is answered when nothing of it is on trial.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from artemon.xds.client import Update
from artemon.xds.resource import NOTHING, Resource, Resources, State
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
    absent: set[str] = field(default_factory=set)
    heard: bool = False
    state: State = NOTHING

    def tries(self, name: str, version: str) -> bool:
        if name not in self.trial:
            return False
        item = self.trial[name]
        return (item.version if item else "") == version

    def keep(self, name: str) -> None:
        item = self.trial.pop(name)
        if item is None:
            self.good.pop(name, None)
        else:
            self.good[name] = item

    def refresh(self) -> State:
        merged: dict[str, Resource | None] = {**self.good, **self.trial}
        items = {name: item for name, item in merged.items() if item is not None}
        self.state = self.state.successor(items)
        return self.state


@dataclass(slots=True)
class _Pending:
    update: Update
    errors: list[str] = field(default_factory=list)

    def says(self, name: str, version: str) -> bool:
        item = self.update.resources.get(name)
        return item.version == version if item else (not version and name in self.update.removed)


class View:
    """All types of one proxy. never_empty: types whose complete removal is a fault of the sender; refused.

    own: types that are not for Envoy but for proxyd itself, which takes everything there is of them.
    pinned: names by type that are always wanted, whether Envoy asks here or elsewhere.
    """

    def __init__(
        self,
        good: Mapping[str, Mapping[str, Resource]],
        *,
        never_empty: Iterable[str] = (CLUSTER,),
        own: Iterable[str] = (),
        pinned: Mapping[str, frozenset[str]] | None = None,
    ) -> None:
        self.own = frozenset(own)
        self._pinned = pinned or {}
        self._types = {url: _Type(good=dict(named)) for url, named in good.items()}
        for url in (*PUSH_ORDER, *self.own):
            self._types.setdefault(url, _Type())
        for url, kind in self._types.items():
            wanted = {EVERYTHING} if url in WILDCARD | self.own else kind.good
            kind.wanted = frozenset(wanted) | self._always(url)
            kind.heard = bool(self._types[CLUSTER].good)
            kind.refresh()
        self._never_empty = frozenset(never_empty)
        self._pending: list[_Pending] = []
        self._revision = 0

    @property
    def revision(self) -> int:
        """Grows whenever what is good changes."""
        return self._revision

    @property
    def types(self) -> tuple[str, ...]:
        """The type URLs known, the usual ones in push order first."""
        return tuple(sorted(self._types, key=lambda url: (url not in PUSH_ORDER, _place(url), url)))

    def good(self) -> dict[str, dict[str, Resource]]:
        """What Envoy has accepted: what is worth keeping."""
        return {url: dict(kind.good) for url, kind in self._types.items()}

    def held(self) -> dict[str, dict[str, str]]:
        """Names and versions for a new stream to pilotd: what is desired, so that it corrects all of it."""
        return {
            url: {name: item.version for name, item in kind.state.items.items()}
            for url, kind in self._types.items()
        }

    def desired(self) -> Resources:
        """What Envoy should have: what is on trial where there is something, else what is good."""
        return Resources({url: kind.state for url, kind in self._types.items()})

    def heard(self, type_url: str) -> bool:
        """Whether anybody has ever said what there is of this type; until then, nothing is not nothing."""
        return type_url in self._types and self._types[type_url].heard

    def known(self, type_url: str, names: Collection[str]) -> frozenset[str]:
        """Those of `names` that are known: to be there, or not to be."""
        kind = self._types.get(type_url, _Type())
        return frozenset(n for n in names if n in kind.good or n in kind.trial or n in kind.absent)

    def wanted(self, type_url: str) -> frozenset[str]:
        """What to subscribe to at pilotd."""
        return self._types[type_url].wanted if type_url in self._types else frozenset()

    def want(self, type_url: str, names: frozenset[str]) -> None:
        """Envoy wants exactly these, of a type that it asks for by name."""
        kind = self._types.setdefault(type_url, _Type())
        names = names | self._always(type_url)
        if type_url in WILDCARD | self.own or names == kind.wanted:
            return
        for name in kind.wanted - names:
            kind.good.pop(name, None)
            kind.trial.pop(name, None)
            kind.absent.discard(name)
            self._revision += 1
        kind.wanted = names
        kind.refresh()

    def restart(self) -> None:
        """The stream to pilotd is a new one: what the old one left unanswered stays on trial."""
        self._pending.clear()

    def take(self, update: Update) -> str:
        """What pilotd says goes on trial. Returns why it is refused at once; nothing when it is not."""
        kind = self._types.setdefault(update.type_url, _Type())
        pending = _Pending(update)
        self._pending.append(pending)
        if self._empties(update, kind):
            reason = f"would remove all {len(kind.state.items)} resources of the type; they are kept"
            pending.errors.append(reason)
            return reason
        kind.heard = True
        kind.absent = (kind.absent - update.resources.keys()) | update.removed
        for name, item in update.resources.items():
            if kind.good.get(name) == item:
                kind.trial.pop(name, None)
            elif kind.wanted & {name, EVERYTHING}:
                kind.trial[name] = item
        for name in update.removed:
            if name in kind.good:
                kind.trial[name] = None
            else:
                kind.trial.pop(name, None)
        kind.refresh()
        return ""

    def accepted(self, type_url: str, sent: Sent) -> None:
        """Envoy has taken a response with these names and versions."""
        kind = self._types.setdefault(type_url, _Type())
        for name, version in sent.items():
            if kind.tries(name, version):
                kind.keep(name)
                self._revision += 1

    def in_step(self, type_url: str, names: Collection[str] | None) -> None:
        """Envoy has everything of `names` (None: of the type) that it should have."""
        kind = self._types[type_url]
        for name in list(kind.trial):
            if names is None or name in names:
                kind.keep(name)
                self._revision += 1

    def let_go(self, type_url: str, asked: Collection[str]) -> None:
        """Removals of what Envoy has not asked for need nobody's consent."""
        kind = self._types[type_url]
        for name in [name for name, item in kind.trial.items() if item is None and name not in asked]:
            kind.keep(name)
            self._revision += 1

    def refused(self, type_url: str, culprits: Sent, reason: str) -> None:
        """Envoy has refused these. The good ones, if any, are in force again."""
        kind = self._types[type_url]
        for name, version in culprits.items():
            text = reason if f"{name}:" in reason else f"{name}: {reason}"
            if kind.tries(name, version):
                del kind.trial[name]
            for pending in self._pending:
                if pending.update.type_url == type_url and pending.says(name, version):
                    pending.errors.append(text)
        kind.refresh()

    def on_trial(self, type_url: str) -> dict[str, str]:
        """Names and versions of what is on trial; the version of a removal is empty."""
        trial = self._types[type_url].trial
        return {name: item.version if item else "" for name, item in trial.items()}

    def forget(self, type_url: str, name: str) -> None:
        """What was good once is no longer."""
        kind = self._types[type_url]
        kind.good.pop(name, None)
        self._revision += 1
        kind.refresh()

    def answers(self) -> list[Answer]:
        """The responses of pilotd that can be answered now; each is returned once."""
        settled = [pending for pending in self._pending if self._settled(pending)]
        self._pending = [pending for pending in self._pending if pending not in settled]
        return [
            Answer(pending.update.type_url, pending.update.nonce, "; ".join(dict.fromkeys(pending.errors)))
            for pending in settled
        ]

    def _always(self, type_url: str) -> frozenset[str]:
        return self._pinned.get(type_url, frozenset())

    def _empties(self, update: Update, kind: _Type) -> bool:
        have = kind.state.items.keys()
        return bool(
            update.type_url in self._never_empty
            and have
            and not update.resources
            and not have - update.removed
        )

    def _settled(self, pending: _Pending) -> bool:
        update = pending.update
        trial = self._types[update.type_url].trial
        return bool(pending.errors) or not (trial.keys() & (update.resources.keys() | update.removed))


def _place(type_url: str) -> int:
    return PUSH_ORDER.index(type_url) if type_url in PUSH_ORDER else len(PUSH_ORDER)
