"""One type within one client's conversation: what the client holds, against what it should hold.

What it holds is the last state that was reconciled (`_base`, shared by all clients) but for the names in
`_differs`, so that a client in step costs nothing per resource.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from artemon.xds.blame import Quarantine
from artemon.xds.resource import NOTHING, Batch, Resource, State
from artemon.xds.subscription import Subscription
from artemon.xds.types import WILDCARD


class Unknown(Enum):
    """The client must be told, whatever it holds."""

    HELD = "unknown"


Held = Resource | Unknown | None
"""A resource, surely none, or not known."""


@dataclass(frozen=True, slots=True)
class Response:
    """What to send. version: hash of the content; changed: the names it brings anew."""

    type_url: str
    nonce: str
    version: str
    resources: tuple[Resource, ...]
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


@dataclass(slots=True)
class _Plan:
    """What one look at the desired state found. later: owed, but must wait; refused: the client does not want
    this version; both with what is held."""

    changed: list[Resource] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    before: dict[str, Held] = field(default_factory=dict)
    later: dict[str, Held] = field(default_factory=dict)
    refused: dict[str, Held] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _InFlight:
    response: Response
    before: Mapping[str, Held]


class Channel:
    """Decides what one client is owed of one type. At most one response is in flight."""

    def __init__(self, type_url: str, *, delta: bool) -> None:
        self.type_url = type_url
        self.subscription = Subscription()
        self.quarantine = Quarantine()
        self.waiting = False
        """Whether something is owed that may not be sent yet."""
        self.last_nonce = ""
        self.acked = ""
        self._delta = delta
        self._complete = not delta and type_url in WILDCARD
        self._base: State = NOTHING
        self._differs: dict[str, Held] = {}
        self._in_flight: _InFlight | None = None
        self._unanswered = False

    @property
    def in_flight(self) -> Response | None:
        """The response that the client has not answered."""
        return self._in_flight.response if self._in_flight else None

    def subscribe(self, wanted: Subscription, *, again: Iterable[str] = ()) -> None:
        """The client wants this from now on; it may have lost what it names in `again`."""
        old = self.subscription
        if wanted.wildcard and not old.wildcard:
            self._differs = {name: self._held(name) for name in old.names}
            self._base = NOTHING
            self._unanswered = True
        self.subscription = wanted
        for name in old.names - wanted.names:
            self._differs.pop(name, None)
            if wanted.wildcard:
                self._differs[name] = Unknown.HELD
        for name in (wanted.names - old.names) | (frozenset(again) & wanted.names):
            self._differs[name] = Unknown.HELD

    def resume(self, versions: Mapping[str, str]) -> None:
        """The client still holds these from an earlier stream (initial_resource_versions)."""
        for name, version in versions.items():
            if self.subscription.covers(name):
                self._differs[name] = Resource(name, self.type_url, version, b"")
        self._unanswered = self._unanswered and not versions

    def resume_version(self, version: str) -> None:
        """The client still holds the complete response of this version (state of the world)."""
        self.acked = version

    def owe(self, names: Iterable[str]) -> None:
        """These must be sent again even if equal."""
        for name in names:
            if self.subscription.covers(name):
                self._differs[name] = Unknown.HELD

    def in_step(self, desired: State) -> bool:
        """Whether nothing is owed, told without looking at any resource; False is no statement."""
        return desired is self._base and not self._differs and not self._unanswered

    def offer(self, desired: State, nonce: str, *, may_remove: bool = True) -> Response | None:
        """The response that is owed now and is thereby in flight; None when none is, or one is under way."""
        if self._in_flight:
            self.waiting = self.waiting or not self.in_step(desired)
            return None
        if self.in_step(desired):
            self.waiting = False
            return None
        quick = self._quick(desired, nonce)
        if quick is not None:
            self._base, self.waiting = desired, False
            return self._sent(quick)
        return self._reconcile(desired, nonce, may_remove=may_remove)

    def _quick(self, desired: State, nonce: str) -> _InFlight | None:
        """What a client that was in step is owed, when that is only what changed since, for all to see."""
        names = desired.changed_since(self._base.token)
        plain = not (self._differs or self._unanswered or self._complete or self.quarantine)
        if not names or not plain or not (self.subscription.wildcard or names <= self.subscription.names):
            return None
        batch = desired.batch(names)
        if batch is None:
            return None
        before = {name: self._base.items.get(name) for name in batch.names}
        if any(
            old and old.version == item.version
            for old, item in zip(before.values(), batch.resources, strict=True)
        ):
            return None
        response = Response(self.type_url, nonce, batch.version, batch.resources, (), batch.names)
        return _InFlight(response, before)

    def _reconcile(self, desired: State, nonce: str, *, may_remove: bool) -> Response | None:
        plan = self._plan(desired, may_remove=may_remove)
        self._base = desired
        self.waiting = bool(plan.later)
        self._differs = {**plan.later, **plan.refused}
        told = plan.removed if self._delta or self._complete else []
        if not plan.changed and not told and not self._unanswered:
            return None
        response = self._response(desired, plan, nonce)
        fresh = self._complete and self._unanswered
        self._unanswered = False
        if fresh and response.version == self.acked:
            return None
        return self._sent(_InFlight(response, plan.before))

    def _sent(self, flight: _InFlight) -> Response:
        self.last_nonce = flight.response.nonce
        self._in_flight = flight
        return flight.response

    def accept(self, nonce: str) -> Response | None:
        """The client took the response with this nonce; None when that is not in flight."""
        flight = self._take(nonce)
        if flight is None:
            return None
        self.acked = flight.response.version
        self.quarantine.accepted(flight.response.changed)
        return flight.response

    def refuse(self, nonce: str, message: str) -> tuple[Response, tuple[str, ...]] | None:
        """The client refused it. Returns what was sent and the culprits, as far as they are known."""
        flight = self._take(nonce)
        if flight is None:
            return None
        sent = {item.name: item for item in flight.response.resources if item.name in flight.before}
        good = {name: held for name, held in flight.before.items() if isinstance(held, Resource)}
        culprits = self.quarantine.refused(sent, message, good=good)
        for name in sent:
            if self.subscription.covers(name):
                self._differs[name] = flight.before[name] if name in culprits else Unknown.HELD
        if sent:
            self.owe(flight.before.keys() - sent.keys())
        return flight.response, culprits

    def _take(self, nonce: str) -> _InFlight | None:
        flight = self._in_flight
        if flight is None or flight.response.nonce != nonce:
            return None
        self._in_flight = None
        return flight

    def _held(self, name: str) -> Held:
        return self._differs[name] if name in self._differs else self._base.items.get(name)

    def _candidates(self, desired: State) -> Iterable[str]:
        changed = desired.changed_since(self._base.token)
        if changed is not None:
            names: Iterable[str] = changed | self._differs.keys()
        elif self.subscription.wildcard:
            names = desired.items.keys() | self._base.items.keys() | self._differs.keys()
        else:
            names = self.subscription.names
        return sorted(name for name in names if self.subscription.covers(name))

    def _plan(self, desired: State, *, may_remove: bool) -> _Plan:
        plan = _Plan()
        trials: list[tuple[Resource, Held]] = []
        for name in self._candidates(desired):
            held, want = self._held(name), desired.items.get(name)
            refused = self.quarantine.refuses(name, want.version if want else None)
            if want is None:
                self._plan_removal(plan, name, held, may_remove=may_remove)
            elif isinstance(held, Resource) and held.version == want.version:
                continue
            elif refused:
                plan.refused[name] = held
            elif self.quarantine.suspects(name):
                trials.append((want, held))
            else:
                plan.changed.append(want)
                plan.before[name] = held
        allowed = 0 if plan.changed else self.quarantine.trial
        for want, held in trials[:allowed]:
            plan.changed.append(want)
            plan.before[want.name] = held
        plan.later.update((want.name, held) for want, held in trials[allowed:])
        return plan

    @staticmethod
    def _plan_removal(plan: _Plan, name: str, held: Held, *, may_remove: bool) -> None:
        if held is None:
            return
        if may_remove or held is Unknown.HELD:
            plan.removed.append(name)
            plan.before[name] = held
        else:
            plan.later[name] = held

    def _response(self, desired: State, plan: _Plan, nonce: str) -> Response:
        removed = tuple(plan.removed) if self._delta else ()
        batch = Batch.of(self._all(desired, plan) if self._complete else plan.changed, removed)
        changed = tuple(item.name for item in plan.changed)
        return Response(self.type_url, nonce, batch.version, batch.resources, removed, changed)

    def _all(self, desired: State, plan: _Plan) -> Iterable[Resource]:
        """Everything the client should hold after a complete response: what must wait stays as it is."""
        stays = {**plan.later, **plan.refused}
        for name in sorted(desired.items.keys() | stays.keys()):
            if not self.subscription.covers(name):
                continue
            held = stays[name] if name in stays else desired.items[name]
            item = held if isinstance(held, Resource) else self.quarantine.good(name)
            if item is not None:
                yield item
