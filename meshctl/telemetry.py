"""What commands ask of mixerd, by way of galleyd."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from meshctl.connection import talk
from meshctl.context import Target


def known(target: Target, page: str, **query: object) -> Any:
    """A page of mixerd's; what is empty is not asked for."""
    asked = urlencode({name: value for name, value in query.items() if value not in ("", None)})
    path = f"/artemon/v1/telemetry/{page}?{asked}"
    return talk(target, lambda client: client.request("GET", path)).value


def milliseconds(value: float) -> str:
    """A duration for people."""
    return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"


def percent(share: float) -> str:
    """A share for people."""
    return f"{100 * share:.1f}%"
