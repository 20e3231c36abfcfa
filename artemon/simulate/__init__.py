"""What Envoy would do with one request, found by walking the messages that were made for it."""

from __future__ import annotations

from artemon.simulate.call import Call, Mode, read_call
from artemon.simulate.outcome import Outcome, Step
from artemon.simulate.walk import Configuration, simulate

__all__ = ["Call", "Configuration", "Mode", "Outcome", "Step", "read_call", "simulate"]
