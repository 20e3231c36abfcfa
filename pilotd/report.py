"""What one proxy was sent and has taken, as the registry shows it under `status/proxies/`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from artemon.model.rejected_patch import RejectedPatch
from artemon.store.typed import Nacked, ProxyStatus, TypeStatus

MAX_MESSAGE = 1024
MAX_PATCHES = 50
"""Rejected patches that one status names."""
_NEVER = TypeStatus()


class Report:
    """The status of one stream. It is written when the proxy has answered, so that whoever waits for a
    revision sees either an older one (it is on its way) or the answer.

    put: takes what makes the value; it is called when the value is written. wall: the time of day, RFC 3339.
    """

    def __init__(
        self, node: str, pilot: str, put: Callable[[Callable[[], bytes]], None], *, wall: Callable[[], str]
    ) -> None:
        self.changed = 0
        """The last revision that changed something for this proxy, and was answered."""
        self._node = node
        self._pilot = pilot
        self._connected = wall()
        self._put = put
        self._wall = wall
        self._revision = 0
        self._types: dict[str, TypeStatus] = {}
        self._left_out: tuple[RejectedPatch, ...] = ()
        self._rejected: tuple[RejectedPatch, ...] = ()
        self._trust: Mapping[str, int] = {}
        self._news = True

    @property
    def status(self) -> ProxyStatus:
        """As it is now."""
        return ProxyStatus(
            node=self._node,
            pilot=self._pilot,
            connected=self._connected,
            revision=self._revision,
            changed=self.changed,
            types=dict(self._types),
            rejected=tuple(
                replace(one, reason=one.reason[:MAX_MESSAGE]) for one in self._rejected[:MAX_PATCHES]
            ),
            trust=self._trust,
        )

    def publish(self) -> None:
        """Write the status as it is, if that is news."""
        if self._news:
            self._news, self._rejected = False, self._left_out
            self._put(self._value)

    def _value(self) -> bytes:
        return self.status.to_json()

    def knows(self, kind: str) -> bool:
        """Whether anything of a type was sent, or was there."""
        return kind in self._types

    def sent(self, kind: str, version: str) -> None:
        """A response went out."""
        old = self._types.get(kind, _NEVER)
        self._set(kind, TypeStatus(version, old.acked, old.nacked))

    def accepted(self, kind: str, version: str) -> None:
        """The proxy took it."""
        old = self._types.get(kind, _NEVER)
        self._set(kind, TypeStatus(old.sent, version, old.nacked))

    def rejected(self, kind: str, *, version: str, resource: str, message: str, changed: int) -> None:
        """The proxy refuses a resource, which came with revision `changed`; it keeps the last good one."""
        old = self._types.get(kind, _NEVER)
        bad = Nacked(version, message[:MAX_MESSAGE], resource, self._wall())
        self._set(kind, TypeStatus(old.sent, old.acked, bad))
        self.changed = max(self.changed, changed)
        self.publish()

    def resumed(self, kind: str, version: str) -> None:
        """The proxy came with everything of a type, so that nothing was sent."""
        self._set(kind, TypeStatus(sent=version, acked=version))

    def left_out(self, rejected: tuple[RejectedPatch, ...]) -> None:
        """What the proxy should have lacks these patches. Written with the next answer."""
        if rejected != self._left_out:
            self._left_out, self._news = rejected, True

    def settled(
        self,
        revision: int,
        changed: int,
        *,
        refusing: frozenset[str] = frozenset(),
        trust: Mapping[str, int] | None = None,
    ) -> bool:
        """The proxy has everything of `revision`, but for what it refuses, of the types in `refusing`.

        Whether `changed` is news.
        """
        for kind, state in self._types.items():
            if state.nacked is not None and kind not in refusing:
                self._set(kind, TypeStatus(state.sent, state.acked))
        trust, fresh = trust or {}, changed != self.changed
        if fresh or revision != self._revision or trust != self._trust:
            self._revision, self.changed, self._trust, self._news = revision, changed, trust, True
        self.publish()
        return fresh

    def _set(self, kind: str, state: TypeStatus) -> None:
        self._types[kind] = state
        self._news = True
