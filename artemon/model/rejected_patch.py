"""What of an EnvoyFilter was left out of a proxy's configuration."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class RejectedPatch:
    """One patch that was not applied.

    object: the EnvoyFilter, as `EnvoyFilter/<namespace>/<name>`. patch: its place in `configPatches`, from 0.
    resource: the one that stayed without it, "" for all. reason: why, for people.
    """

    object: str
    patch: int
    resource: str
    reason: str

    def __str__(self) -> str:
        place = f"{self.object}: spec.configPatches[{self.patch}]"
        return f"{place}: {self.resource}: {self.reason}" if self.resource else f"{place}: {self.reason}"
