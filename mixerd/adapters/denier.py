"""Refuses everything that a rule sends."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from artemon.adapters import Adapter, Answer, Handler, Params, Place, QuotaAnswer, Row
from artemon.model.duration import Duration


class Status(Params):
    """code: of google.rpc.Code; 7 is PERMISSION_DENIED."""

    code: Annotated[int, Field(ge=1, le=16)] = 7
    message: str = ""


class DenierParams(Params):
    """validDuration, validUseCount: how long, and how often, the answer may be used again."""

    status: Status = Status()
    valid_duration: Duration | None = None
    valid_use_count: Annotated[int, Field(ge=0)] = 0


class Denier(Handler):
    """Says no."""

    def __init__(self, params: DenierParams, place: Place) -> None:
        seconds = params.valid_duration.seconds if params.valid_duration else 0.0
        message = params.status.message or f"{place.name} denies it"
        self._answer = Answer(params.status.code, message, seconds, params.valid_use_count)

    async def check(self, row: Row) -> Answer:
        return self._answer

    async def quota(self, row: Row, amount: int) -> QuotaAnswer:
        return QuotaAnswer(0, self._answer.seconds)


plugin = Adapter(DenierParams, frozenset({"checknothing", "listentry", "authorization", "quota"}), Denier)
