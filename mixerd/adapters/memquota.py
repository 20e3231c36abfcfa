"""Quotas in memory, shared by all mixerds: each combination of values is counted by one of them."""

from __future__ import annotations

from typing import ClassVar

from artemon.adapters import Adapter, Handler, Params, Place, QuotaAnswer, Row
from artemon.model.limit_terms import Terms
from artemon.model.message import Seq
from mixerd.adapters.quotas import SECOND, Quota, dimensions_of, quota_of, quota_problems


class MemquotaParams(Params):
    """Quotas by instance."""

    required: ClassVar[tuple[str, ...]] = ("quotas",)

    quotas: Seq[Quota] = ()


class Memquota(Handler):
    """Counts as limits are counted: fixed windows, or sliding ones that weigh what is left of the last."""

    def __init__(self, params: MemquotaParams, place: Place) -> None:
        self._params, self._place = params, place

    async def quota(self, row: Row, amount: int) -> QuotaAnswer:
        quota = quota_of(self._params.quotas, row)
        dimensions = dimensions_of(row)
        most, nanoseconds = quota.terms_for(dimensions)
        if most < 1:
            return QuotaAnswer(0)
        name = f"{self._place.name}/{quota.name}"
        terms = Terms(name, most, nanoseconds // SECOND, quota.rate_limit_algorithm == "ROLLING_WINDOW")
        values = tuple(f"{key}={value}" for key, value in sorted(dimensions.items()))
        allowed, seconds = await self._place.count(terms, values, amount)
        return QuotaAnswer(amount if allowed else 0, seconds)


plugin = Adapter(MemquotaParams, frozenset({"quota"}), Memquota, quota_problems)
