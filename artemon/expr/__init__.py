"""Attribute expressions of rules: typed, checked before they are used, evaluated over one bag of attributes.

The language is that of Mixer's attribute expressions: Go's syntax and precedence; `|` gives what is on its
right where an attribute or a map's entry on its left is absent.
"""

from artemon.expr.errors import EvaluationError, ExpressionError, ExpressionRefused
from artemon.expr.evaluate import Program, Result, compile_expression
from artemon.expr.manifest import VOCABULARY, Manifest, read_attributes, read_manifest

__all__ = [
    "VOCABULARY",
    "EvaluationError",
    "ExpressionError",
    "ExpressionRefused",
    "Manifest",
    "Program",
    "Result",
    "compile_expression",
    "read_attributes",
    "read_manifest",
]
