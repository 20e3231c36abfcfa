"""The patches of one sort of proxy, and resources with them applied. Nothing that is shared is changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from google.protobuf.message import EncodeError

from artemon.model.mesh_config import MeshConfig
from artemon.model.rejected_patch import RejectedPatch
from artemon.translate.patches.claims import objection
from artemon.translate.patches.constraints import violation
from artemon.translate.patches.kinds import PATCHABLE, Patchable
from artemon.translate.patches.match import Setting
from artemon.translate.patches.merge import Unmergeable
from artemon.translate.patches.read import Patch, Reading
from artemon.xds.resource import Resource
from artemon.xds.types import CLUSTER, EXTENSION, LISTENER

ADDED = {LISTENER: "LISTENER", CLUSTER: "CLUSTER", EXTENSION: "EXTENSION_CONFIG"}
"""Types of resources that patches add, and what they apply to then."""
Rejections = tuple[RejectedPatch, ...]


class Plan:
    """What is applied to the resources of proxies with one setting. chosen: which patches are for them."""

    def __init__(self, reading: Reading, mesh: MeshConfig, setting: Setting, chosen: tuple[int, ...]) -> None:
        self.setting = setting
        self.patches: list[Patch] = []
        self.rejected = list(reading.rejected)
        for index in chosen:
            patch = reading.patches[index]
            reason = objection(patch, mesh) or _incomplete(patch)
            if reason is None:
                self.patches.append(patch)
            else:
                self.rejected.append(patch.rejected("", reason))

    @cached_property
    def by_type(self) -> Mapping[str, tuple[Patch, ...]]:
        """The patches of existing resources by their type, in the order in which they are applied."""
        found: dict[str, tuple[Patch, ...]] = {}
        for url, kind in PATCHABLE.items():
            staged = [(stage, one) for one in self.patches if (stage := kind.stage(one)) is not None]
            found[url] = tuple(one for _, one in sorted(staged, key=lambda pair: pair[0]))
        return found

    def additions(self, url: str) -> Iterator[Patch]:
        """The patches that add a resource of this type."""
        for patch in self.patches:
            if patch.apply_to == ADDED.get(url) and patch.operation == "ADD" and self._adds(patch):
                yield patch

    def _adds(self, patch: Patch) -> bool:
        context = self.setting.adds_in if patch.match.context == "ANY" else patch.match.context
        return self.setting.has(context)


def _incomplete(patch: Patch) -> str | None:
    """Why a value that stands alone breaks a rule of its fields; merged ones are judged by the result."""
    alone = patch.value is not None and patch.operation not in ("MERGE", "MERGE_AND_REPLACE_LIST")
    return violation(patch.given) if alone else None


@dataclass(frozen=True, slots=True)
class Patched:
    """A resource after its patches: the same object when there was nothing to do, None when it is removed."""

    resource: Resource | None
    rejected: Rejections = ()


def patched(resource: Resource, plan: Plan, url: str) -> Patched:
    """The resource with each patch that can be applied; a patch that breaks it is left out alone."""
    patches, kind = plan.by_type[url], PATCHABLE[url]
    if not patches:
        return Patched(resource)
    quick = _Work(resource, kind, plan.setting, careful=False)
    done = quick.done(patches)
    if quick.flawless:
        return done
    return _Work(resource, kind, plan.setting, careful=True).done(patches)


class _Work:
    """One resource in the making. careful: each patch answers for every field; else that is left to
    `flawless`, for looking at all fields of a large listener after every patch takes long."""

    def __init__(self, resource: Resource, kind: Patchable, setting: Setting, *, careful: bool) -> None:
        self._resource = resource
        self._kind = kind
        self._setting = setting
        self._careful = careful
        self._message: Any = kind.message.FromString(resource.body)
        self._guard: Any = None
        self._guarding = False
        self._rejected: list[RejectedPatch] = []
        self._changed = False

    @property
    def flawless(self) -> bool:
        """Whether no field of the result breaks a rule of Envoy's."""
        return not self._changed or violation(self._message) is None

    def done(self, patches: tuple[Patch, ...]) -> Patched:
        """The result of all patches, in their order."""
        for patch in patches:
            if not self._kind.matches(patch, self._message, self._setting):
                continue
            if patch.operation == "REMOVE" and patch.apply_to == self._kind.whole:
                return Patched(None, tuple(self._rejected))
            self._try(patch)
        if not self._changed:
            return Patched(self._resource, tuple(self._rejected))
        made = Resource.of(self._resource.name, self._resource.type_url, self._message)
        return Patched(made, tuple(self._rejected))

    def _try(self, patch: Patch) -> None:
        candidate = self._kind.message()
        candidate.CopyFrom(self._message)
        try:
            if not self._kind.apply(candidate, patch, self._setting):
                return
            reason = self._objection(candidate, trusted=patch.trusted)
        except (Unmergeable, EncodeError, ValueError) as problem:
            reason = str(problem)
        if reason is None:
            self._message, self._changed = candidate, True
            self._guarding = self._guarding and not patch.trusted
        else:
            self._rejected.append(patch.rejected(self._resource.name, reason))

    def _objection(self, candidate: Any, *, trusted: bool) -> str | None:
        if candidate.name != self._resource.name:
            return f'the name "{self._resource.name}" must stay: the mesh knows the resource by it'
        broken = None if trusted else self._broken(candidate)
        flaw = broken or self._kind.flaw(candidate)
        return flaw or (violation(candidate) if self._careful else None)

    def _broken(self, candidate: Any) -> str | None:
        """What the patch takes away of what must stay; that is what the mesh or its administrator made."""
        if not self._guarding:
            self._guard, self._guarding = self._kind.guard(self._message, self._setting), True
        return self._kind.broken(self._guard, candidate, self._setting)
