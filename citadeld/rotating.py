"""The service `artemon.v1.Rotation`, for operators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from artemon.api.v1 import rotation_pb2 as pb
from artemon.pki.bundle import pem_list
from artemon.store.api import Election
from citadeld.books import who
from citadeld.callers import Context, Door
from citadeld.rotation import Rotation, names

SERVICE = "artemon.v1.Rotation"
REQUESTS: Mapping[str, type[Message]] = {
    f"{SERVICE}/Status": pb.RotationStatusRequest,
    f"{SERVICE}/Rotate": pb.RotateRequest,
    f"{SERVICE}/Rollback": pb.RollbackRequest,
}
MAX_NAMED = 100


@dataclass(frozen=True, slots=True)
class Rotating:
    """Starts, undoes and tells."""

    rotation: Rotation
    election: Election

    def methods(self) -> dict[str, Any]:
        """By name."""
        return {"Status": self._status, "Rotate": self._rotate, "Rollback": self._rollback}

    async def _status(self, _: pb.RotationStatusRequest, context: Context, door: Door) -> pb.RotationStatus:
        door.operator(context)
        return await self._told()

    async def _rotate(self, request: pb.RotateRequest, context: Context, door: Door) -> pb.RotationStatus:
        caller = door.operator(context)
        await self.rotation.begin(self.election, by=who(caller, request.by))
        return await self._told()

    async def _rollback(self, request: pb.RollbackRequest, context: Context, door: Door) -> pb.RotationStatus:
        caller = door.operator(context)
        await self.rotation.undo(self.election, by=who(caller, request.by))
        return await self._told()

    async def _told(self) -> pb.RotationStatus:
        found = await self.rotation.standing()
        state, late = found.state, len({line.partition(":")[0] for line in found.late})
        return pb.RotationStatus(
            phase=str(state.phase),
            old_root=state.old,
            new_root=state.new,
            since=state.since,
            confirmed=not found.late,
            confirmed_count=found.total - late,
            total_count=found.total,
            behind=found.late[:MAX_NAMED],
            roots=names(found.bundle.roots),
            root_ends=[root.not_valid_after_utc.isoformat() for root in found.bundle.roots],
            roots_pem=pem_list(found.bundle.roots),
        )
