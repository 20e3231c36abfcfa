"""Waiting for what a mesh does in its own time."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from typing import Any


def first_answer(look: Callable[[], Any], what: str, log: Callable[[], str], *, seconds: float) -> Any:
    """The first true answer of `look`, whose connections may fail meanwhile. what, log: for the failure."""
    end, last = time.monotonic() + seconds, ""
    while time.monotonic() < end:
        try:
            if answer := look():
                return answer
        except (OSError, http.client.HTTPException) as error:
            last = repr(error)
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {what} ({last})\n{log()}")
