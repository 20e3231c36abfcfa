"""The type of an expression, before it is ever evaluated."""

from __future__ import annotations

import re2

from artemon.expr.errors import ExpressionRefused
from artemon.expr.functions import SIGNATURES, Signature
from artemon.expr.manifest import Manifest
from artemon.expr.syntax import Attribute, Call, Constant, Node
from artemon.expr.values import ValueType


def type_of(node: Node, manifest: Manifest) -> ValueType:
    """The type of what `node` gives. Raises ExpressionRefused: an unknown name, a wrong number or type."""
    if isinstance(node, Constant):
        return node.type
    if isinstance(node, Attribute):
        known = manifest.get(node.name)
        if known is None:
            raise ExpressionRefused(f"unknown attribute {node.name}")
        return known
    return _called(node, manifest)


def _called(call: Call, manifest: Manifest) -> ValueType:
    signature = SIGNATURES.get(call.function)
    if signature is None:
        raise ExpressionRefused(f"unknown function {call.function} in {call}")
    _check_target(call, signature, manifest)
    if len(call.arguments) != len(signature.arguments):
        wanted = len(signature.arguments)
        raise ExpressionRefused(f"{call} takes {wanted} arguments, not {len(call.arguments)}")
    variable: ValueType | None = None
    for number, (argument, wanted_type) in enumerate(
        zip(call.arguments, signature.arguments, strict=True), 1
    ):
        found, expected = type_of(argument, manifest), wanted_type or variable
        if expected is None:
            if found not in signature.over:
                raise ExpressionRefused(f"{call}: argument {number} ({argument}) cannot be {found}")
            variable = found
        elif found is not expected:
            raise ExpressionRefused(f"{call}: argument {number} ({argument}) is {found}, must be {expected}")
        else:
            variable = variable or (found if wanted_type is None else None)
    _check_pattern(call)
    result = signature.result or variable
    assert result is not None
    return result


def _check_target(call: Call, signature: Signature, manifest: Manifest) -> None:
    if signature.target is None and call.target is not None:
        raise ExpressionRefused(f"{call.function} is a function, not a method of {call.target}")
    if signature.target is not None:
        if call.target is None:
            raise ExpressionRefused(f"{call.function} is a method: it needs a value and a dot before it")
        found = type_of(call.target, manifest)
        if found is not signature.target:
            raise ExpressionRefused(f"{call}: {call.target} is {found}, must be {signature.target}")


def _check_pattern(call: Call) -> None:
    if call.function == "matches" and isinstance(call.target, Constant):
        try:
            re2.compile(call.target.value)
        except re2.error as error:
            raise ExpressionRefused(f"{call.target} is not a regular expression (RE2)") from error
