"""Which resource a client refused: by name in its message, alone in the response, or by halving.

A refused version is not sent again; when the resource changes, it gets a new chance.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from artemon.xds.resource import Resource

_BOUNDARY = r"[\w|\-]"


class Quarantine:
    """Refused versions of one client's resources of one type, and names under suspicion."""

    def __init__(self) -> None:
        self.trial = 1
        """How many suspects the next response may bring."""
        self._refused: dict[str, str] = {}
        self._suspects: set[str] = set()
        self._good: dict[str, Resource] = {}

    def __len__(self) -> int:
        return len(self._refused)

    def __bool__(self) -> bool:
        return bool(self._refused or self._suspects)

    def refuses(self, name: str, version: str | None) -> bool:
        """Whether the client refused exactly this; forgets a refusal that another version made void."""
        refused = self._refused.get(name)
        if refused is None or refused == version:
            return refused is not None
        del self._refused[name]
        return False

    def suspects(self, name: str) -> bool:
        """Whether it came in a refused response whose culprit is not found yet."""
        return name in self._suspects

    def good(self, name: str) -> Resource | None:
        """What was in force before the refusal, if anything."""
        return self._good.get(name)

    def accepted(self, names: Iterable[str]) -> None:
        """The client took these."""
        for name in names:
            self._good.pop(name, None)
        if self._suspects:
            self._suspects.difference_update(names)
            self.trial *= 2

    def refused(
        self, sent: Mapping[str, Resource], message: str, *, good: Mapping[str, Resource]
    ) -> tuple[str, ...]:
        """The client refused a response that brought `sent`; `good` is what it held of them before.

        Returns the culprits. When they cannot be told, the names become suspects, tried in halves.
        """
        culprits = tuple(sent) if len(sent) == 1 else tuple(name for name in sent if _named(name, message))
        for name in culprits:
            self._refused[name] = sent[name].version
        for name in sent:
            if name in good:
                self._good.setdefault(name, good[name])
        self._suspects.difference_update(culprits)
        if not culprits:
            self._suspects.update(sent)
            self.trial = max(1, len(sent) // 2)
        return culprits


def _named(name: str, message: str) -> bool:
    if name not in message:
        return False
    return bool(re.search(rf"(?<!{_BOUNDARY}){re.escape(name)}(?!{_BOUNDARY}|\.\w)", message))
