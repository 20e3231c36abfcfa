"""What a rule may know besides the object."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from artemon.errors import Problem

EnvoyParser = Callable[[str, Mapping[str, Any]], Sequence[Problem]]
"""(applyTo of an EnvoyFilter patch, its value) -> why it is not that Envoy message."""


@dataclass(frozen=True, slots=True)
class Context:
    """root_namespace: where mesh-wide policies live. parse_envoy: reads EnvoyFilter values, unless None."""

    root_namespace: str = "istio-system"
    parse_envoy: EnvoyParser | None = None
