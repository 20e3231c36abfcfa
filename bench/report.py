"""How figures are shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value. goal: what it should stay below."""

    what: str
    value: float
    unit: str
    goal: float | None = None

    def __str__(self) -> str:
        value = f"{self.value:12,.2f} {self.unit:4}"
        if self.goal is None:
            return f"  {self.what:62} {value}"
        share = self.value / self.goal
        return f"  {self.what:62} {value} {share:6.2f} of {self.goal:g} {self.unit}"


def show(title: str, figures: Iterable[Figure]) -> None:
    """Print a table."""
    print(title)
    for figure in figures:
        print(figure)
