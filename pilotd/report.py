"""What one proxy was sent and has taken, as the registry shows it under `status/proxies/`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from artemon.model.rejected_patch import RejectedPatch
from artemon.store.typed import Nacked, ProxyStatus, TypeStatus

MAX_MESSAGE = 1024
MAX_PATCHES = 50
"""Rejected patches that one status names."""


class Report:
    """The status of one stream. It is written when the proxy has answered, so that whoever waits for a
    revision sees either an older one (it is on its way) or the answer.

    wall: the time of day, RFC 3339.
    """

    def __init__(
        self, node: str, pilot: str, put: Callable[[bytes], None], *, wall: Callable[[], str]
    ) -> None:
        self.status = ProxyStatus(node=node, pilot=pilot, connected=wall())
        self._put = put
        self._wall = wall

    def publish(self) -> None:
        """Write the status as it is, if that is news."""
        self._put(self.status.to_json())

    def sent(self, kind: str, version: str) -> None:
        """A response went out."""
        self._set(kind, replace(self._of(kind), sent=version))

    def accepted(self, kind: str, version: str) -> None:
        """The proxy took it."""
        self._set(kind, replace(self._of(kind), acked=version))

    def rejected(self, kind: str, *, version: str, resource: str, message: str, changed: int) -> None:
        """The proxy refuses a resource, which came with revision `changed`; it keeps the last good one."""
        bad = Nacked(version, message[:MAX_MESSAGE], resource, self._wall())
        self._set(kind, replace(self._of(kind), nacked=bad))
        self.status = replace(self.status, changed=max(self.status.changed, changed))
        self.publish()

    def resumed(self, kind: str, version: str) -> None:
        """The proxy came with everything of a type, so that nothing was sent."""
        self._set(kind, TypeStatus(sent=version, acked=version))

    def left_out(self, rejected: tuple[RejectedPatch, ...]) -> None:
        """What the proxy should have lacks these patches. Written with the next answer."""
        named = tuple(replace(one, reason=one.reason[:MAX_MESSAGE]) for one in rejected[:MAX_PATCHES])
        self.status = replace(self.status, rejected=named)

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
        for kind, state in self.status.types.items():
            if state.nacked is not None and kind not in refusing:
                self._set(kind, replace(state, nacked=None))
        news = changed != self.status.changed
        self.status = replace(self.status, revision=revision, changed=changed, trust=trust or {})
        self.publish()
        return news

    def _of(self, kind: str) -> TypeStatus:
        return self.status.types.get(kind, TypeStatus())

    def _set(self, kind: str, state: TypeStatus) -> None:
        self.status = replace(self.status, types={**self.status.types, kind: state})
