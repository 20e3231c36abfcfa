"""Which of the reports that a rule matches are looked at (`spec.sampling`, as in Mixer)."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from hashlib import blake2b

from artemon.adapters.requests import SampleTerms
from artemon.expr import EvaluationError
from artemon.expr.values import Value

_SPAN = 2**32


class Sampler:
    """The choice of one rule. now: seconds, monotonic; chance: a number from 0 to below 1."""

    def __init__(
        self, terms: SampleTerms, now: Callable[[], float], chance: Callable[[], float] = random.random
    ) -> None:
        self._terms, self._now, self._chance = terms, now, chance
        self._until, self._seen = 0.0, 0

    def takes(self, attributes: Mapping[str, Value]) -> bool:
        """Whether this report is looked at."""
        return self._by_share(attributes) and self._by_rate()

    def _by_share(self, attributes: Mapping[str, Value]) -> bool:
        terms = self._terms
        if terms.denominator == 0:
            return True
        numerator: float = terms.numerator
        if terms.expression is not None:
            try:
                found = terms.expression.evaluate(attributes).value
            except EvaluationError:
                return False
            numerator = float(found) if isinstance(found, (int, float)) else 0.0
        return self._place(attributes) * terms.denominator < numerator

    def _place(self, attributes: Mapping[str, Value]) -> float:
        """Where the request lies between 0 and 1: by its identifier, the same for every proxy and rule."""
        identifier = attributes.get("request.id")
        if self._terms.independent or not isinstance(identifier, str):
            return self._chance()
        return int.from_bytes(blake2b(identifier.encode(), digest_size=4).digest()) / _SPAN

    def _by_rate(self) -> bool:
        terms = self._terms
        if terms.seconds <= 0:
            return True
        if self._now() >= self._until:
            self._until, self._seen = self._now() + terms.seconds, 0
        self._seen += 1
        beyond = self._seen - terms.most
        return beyond <= 0 or (terms.one_of > 0 and beyond % terms.one_of == 0)
