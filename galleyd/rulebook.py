"""Refuses writes that leave rules of mixerd without what they need: handlers, instances, attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from artemon.adapters.rulebook import rulebook
from artemon.errors import Problem
from artemon.model.kinds import MIXER_KINDS
from artemon.model.mesh_config import MeshConfig
from artemon.model.resource import Resource
from artemon.model.tolerant import decode_tolerantly
from artemon.store.api import Store
from galleyd import status
from galleyd.edits import Plan
from galleyd.keys import Keys
from galleyd.objects import Object
from galleyd.writes import decode


@dataclass(frozen=True, slots=True)
class Rulebook:
    """Judges plans by what is in the registry. mesh: MeshConfig, as far as it is known."""

    store: Store
    keys: Keys
    mesh: Callable[[], MeshConfig | None]

    async def __call__(self, plans: Sequence[Plan]) -> None:
        """Raises ApiError 422 with every problem that there would be and is not yet."""
        writes = [plan.write for plan in plans if plan.write and plan.outcome.ref.kind in MIXER_KINDS]
        if not writes:
            return
        before: dict[str, Object] = {}
        for kind in MIXER_KINDS:  # read now: what a client wrote a moment ago counts
            for entry in (await self.store.list(self.keys.collection(kind))).entries:
                if stored := decode(entry):
                    before[entry.key] = stored.object
        after = dict(before)
        for write in writes:
            after.pop(self.keys.of(write.ref), None)
            if write.after is not None:
                after[self.keys.of(write.ref)] = write.after
        known = self._problems(before.values())
        causes = [
            status.Cause(problem.path, problem.message, subject=ref)
            for ref, problems in self._problems(after.values()).items()
            for problem in problems
            if problem.level == "error" and problem not in known.get(ref, ())
        ]
        if causes:
            text = "; ".join(f"{cause.subject}: {cause.field}: {cause.message}" for cause in causes)
            raise status.ApiError(422, "Invalid", f"nothing was written: {text}", causes=causes)

    def _problems(self, objects: Iterable[Object]) -> Mapping[str, Sequence[Problem]]:
        decoded = (decode_tolerantly(one).resource for one in objects)
        read: list[Resource[Any]] = [one for one in decoded if one is not None]
        mesh = self.mesh() or MeshConfig()
        return rulebook(read, root=mesh.root_namespace).problems
