"""Envoy's questions about limits (`envoy.service.ratelimit.v3.RateLimitService`)."""

from __future__ import annotations

from typing import Any

from envoy.service.ratelimit.v3.rls_pb2 import RateLimitRequest, RateLimitResponse
from prometheus_client import CollectorRegistry, Counter

from artemon.model.limit_terms import TERMS, Terms
from artemon.pki.spiffe import SYSTEM_NAMESPACE
from mixerd.limits import Verdict
from mixerd.records import Reporter
from mixerd.shares import Shares

_UNITS = {1: "SECOND", 60: "MINUTE", 3600: "HOUR", 86400: "DAY"}


class Counting:
    """Answers. Proxies may ask for the limits of their own namespace and of `root`."""

    def __init__(self, shares: Shares, metrics: CollectorRegistry, *, root: str) -> None:
        self._shares, self._root = shares, root
        asked = Counter("mixerd_limits", "Questions about limits.", ["answer"], registry=metrics)
        self._answers = {answer: asked.labels(answer) for answer in ("allowed", "refused", "unknown")}

    async def answer(self, request: RateLimitRequest, reporter: Reporter) -> RateLimitResponse:
        """Refused when one of the limits is used up. What other mixerds ask is counted here. Raises
        ValueError: terms that cannot be read; ArtemonError: the one that counts cannot be asked."""
        fellow = reporter.namespace == SYSTEM_NAMESPACE
        out = RateLimitResponse(overall_code=RateLimitResponse.OK)
        hits = max(1, request.hits_addend)
        for descriptor in request.descriptors:
            first, *rest = descriptor.entries
            if first.key != TERMS:
                raise ValueError("a descriptor must begin with its terms")
            terms = Terms.read(first.value)
            if not fellow and terms.name.partition("/")[0] not in (reporter.namespace, self._root):
                self._answers["unknown"].inc()
                raise ValueError(f"{terms.name} is not a limit of namespace {reporter.namespace}")
            values = tuple(f"{one.key}={one.value}" for one in rest)
            if fellow:
                verdict = self._shares.here(terms, values, hits)
            else:
                verdict = await self._shares.hit(terms, values, hits)
            _say(out.statuses.add(), terms, verdict)
            if not verdict.allowed:
                out.overall_code = RateLimitResponse.OVER_LIMIT
        self._answers["allowed" if out.overall_code == RateLimitResponse.OK else "refused"].inc()
        return out


def _say(status: Any, terms: Terms, verdict: Verdict) -> None:
    status.code = RateLimitResponse.OK if verdict.allowed else RateLimitResponse.OVER_LIMIT
    status.current_limit.requests_per_unit = terms.requests
    status.current_limit.unit = RateLimitResponse.RateLimit.Unit.Value(_UNITS.get(terms.seconds, "UNKNOWN"))
    status.limit_remaining = verdict.remaining
    status.duration_until_reset.FromMilliseconds(int(verdict.reset * 1000))
