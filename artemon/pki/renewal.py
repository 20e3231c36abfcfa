"""How long a certificate is good, and when to ask for the next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

BACK_DATE = timedelta(minutes=5)
"""How far before its making a certificate becomes valid, so that clocks may differ."""


@dataclass(frozen=True, slots=True)
class Validity:
    """From when until when, both with a time zone."""

    not_before: datetime
    not_after: datetime

    def contains(self, now: datetime) -> bool:
        """Whether `now` lies within, ends included."""
        return self.not_before <= now <= self.not_after


def renewal_time(validity: Validity, *, now: datetime, jitter: float) -> datetime:
    """When to ask for the next certificate: half of the time since issue, moved by up to a tenth of it.

    jitter: 0..1, where 0.5 is exactly the half. Never before `now`. The back-dated minutes do not count.
    """
    lifetime = validity.not_after - validity.not_before
    issued = validity.not_before + (BACK_DATE if lifetime > BACK_DATE else timedelta(0))
    return max(now, issued + (validity.not_after - issued) * (0.4 + 0.2 * jitter))
