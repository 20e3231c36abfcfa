"""What can be wrong with an expression."""

from __future__ import annotations

from artemon.errors import ArtemonError


class ExpressionError(ArtemonError):
    """Base of both below."""


class ExpressionRefused(ExpressionError):
    """The text is not an expression, or its types do not fit; told before anything is evaluated."""


class EvaluationError(ExpressionError):
    """The attributes do not give a value: one is absent with nothing after `|`, or cannot be converted."""
