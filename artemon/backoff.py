"""How long to wait before trying again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Exponential back-off with full jitter: the n-th wait is random in (0, first * 2**n], at most `most`.

    Times in seconds. Randomness is an argument, so that callers decide and tests are exact.
    """

    first: float = 0.1
    most: float = 5.0
    tries: int = 0

    def next(self, random: float) -> float:
        """The next wait; `random` lies in [0, 1). Never below a tenth of the ceiling."""
        ceiling = min(self.most, self.first * 2.0 ** min(self.tries, 30))
        self.tries += 1
        return ceiling * max(random, 0.1)

    def reset(self) -> None:
        """Start again with the shortest wait: it worked."""
        self.tries = 0
