"""All resources of one type with their patches: some changed, some gone, some new."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from envoy.config.listener.v3.listener_pb2 import Listener

from artemon.model.rejected_patch import RejectedPatch
from artemon.snapshot.memo import Memo
from artemon.translate.patches.guard import ListenerGuard
from artemon.translate.patches.kinds import PATCHABLE
from artemon.translate.patches.plan import Plan, Rejections, patched
from artemon.translate.patches.read import Patch
from artemon.xds.resource import Resource, State
from artemon.xds.types import LISTENER

Items = Mapping[str, Resource]


class PatchedSet:
    """The resources of `made` after the plan; made once for all proxies that have both in common."""

    def __init__(self, made: Items, plan: Plan, memo: Memo, url: str) -> None:
        self._made = made
        self._plan = plan
        self._url = url
        self._rejected: list[RejectedPatch] = []
        self._state: State | None = None
        self.items: Items = made
        if plan.by_type.get(url):
            self.items = dict(self._existing(memo))
        self.items = self._with_additions()
        self.rejected: Rejections = tuple(self._rejected)

    def state(self, before: State) -> State:
        """The state, as a successor of `before` for the first who asks."""
        if self._state is None:
            self._state = before.successor(self.items)
        return self._state

    def _existing(self, memo: Memo) -> Iterator[tuple[str, Resource]]:
        for name, resource in self._made.items():
            done = memo.get(patched, resource, self._plan, by=(self._url,))
            self._rejected += done.rejected
            if done.resource is not None:
                yield name, done.resource

    def _with_additions(self) -> Items:
        out: dict[str, Resource] | None = None
        for patch in self._plan.additions(self._url):
            items = self.items if out is None else out
            value: Any = patch.given
            reason = self._objection(patch, value, items)
            if reason is not None:
                self._rejected.append(patch.rejected(value.name, reason))
                continue
            out = {**items, value.name: Resource.of(value.name, self._url, value)}
        return self.items if out is None else out

    def _objection(self, patch: Patch, value: Any, items: Items) -> str | None:
        if not value.name:
            return "what is added needs a name"
        if value.name in items:
            return f'there is already a resource called "{value.name}"'
        if self._url not in PATCHABLE:
            return None
        kind = PATCHABLE[self._url]
        if value.name in self._made and not patch.trusted and self._was_guarded(value.name):
            return f'"{value.name}" was secured by the mesh; it may be removed, but not remade'
        if self._url == LISTENER and (taken := _taken(value, items)):
            return f"the listener {taken} is there already"
        return kind.flaw(value)

    def _was_guarded(self, name: str) -> bool:
        kind = PATCHABLE[self._url]
        found = kind.guard(kind.message.FromString(self._made[name].body), self._plan.setting)
        return found.holds if isinstance(found, ListenerGuard) else found is not None


def _taken(added: Listener, items: Items) -> str:
    """The listener that binds to the same place, "" when none does."""
    if _unbound(added):
        return ""
    place = added.address.SerializeToString(deterministic=True)
    for name, resource in items.items():
        other = Listener.FromString(resource.body)
        if not _unbound(other) and other.address.SerializeToString(deterministic=True) == place:
            return name
    return ""


def _unbound(listener: Listener) -> bool:
    return listener.HasField("bind_to_port") and not listener.bind_to_port.value
