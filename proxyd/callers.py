"""Who comes without mutual TLS where it is not required: read out of Envoy's statistics, told to pilotd."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

from artemon.model.metric_fields import EXPOSED
from artemon.model.plaintext import COUNTER, FROM, KIND, PORT, PlaintextReport, Seen

SECONDS = 5.0
"""Between two looks; Envoy gathers its statistics as often."""
_LINE = re.compile(rf"{EXPOSED}{COUNTER}\{{(.*)\}} (\d+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
Place = tuple[str, int, str]
"""Caller, port, kind."""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class Callers:
    """Looks at `statistics` and calls `tell` when there is something new."""

    def __init__(
        self,
        statistics: Callable[[str], Awaitable[str | None]],
        tell: Callable[[PlaintextReport], None],
        *,
        now: Callable[[], str] = _now,
    ) -> None:
        self._statistics, self._tell, self._now = statistics, tell, now
        self._since = now()
        self._seen: dict[Place, Seen] = {}

    async def run(self) -> None:
        """Until cancelled."""
        self._tell(self._report())
        while True:
            await self.look()
            await asyncio.sleep(SECONDS)

    async def look(self) -> None:
        """Once."""
        text = await self._statistics(COUNTER)
        if text is None:
            return
        changed = False
        for place, count in counted(text).items():
            known = self._seen.get(place)
            if known is None or known.count != count:
                self._seen[place] = Seen(*place, count, self._now())
                changed = True
        if changed:
            self._tell(self._report())

    def _report(self) -> PlaintextReport:
        return PlaintextReport(self._since, tuple(self._seen.values()))


def counted(text: str) -> Mapping[Place, int]:
    """The counts in Envoy's metrics."""
    found = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        labels = dict(_LABEL.findall(match[1])) if match else {}
        if match and labels.get(PORT, "").isdigit():
            found[labels.get(FROM, ""), int(labels[PORT]), labels.get(KIND, "")] = int(match[2])
    return found
