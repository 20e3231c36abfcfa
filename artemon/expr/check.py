"""The type of an expression, before it is ever evaluated. What is refused is said in Mixer's words."""

from __future__ import annotations

import re2

from artemon.expr.errors import ExpressionRefused
from artemon.expr.functions import METHODS, SIGNATURES, Signature
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
    signature = (METHODS if call.target is not None else {}).get(call.function) or SIGNATURES.get(
        call.function
    )
    if signature is None:
        raise ExpressionRefused(f"unknown function: {call.function}")
    _check_target(call, signature, manifest)
    if len(call.arguments) != len(signature.arguments):
        got, wanted = len(call.arguments), len(signature.arguments)
        raise ExpressionRefused(f"{call} arity mismatch. Got {got} arg(s), expected {wanted} arg(s)")
    variable: ValueType | None = None
    for number, (argument, wanted_type) in enumerate(
        zip(call.arguments, signature.arguments, strict=True), 1
    ):
        found, expected = type_of(argument, manifest), wanted_type or variable
        if expected is None:
            if found not in signature.over:
                raise _wrong_type(call, number, found, " or ".join(sorted(signature.over)))
            variable = found
        elif found is not expected:
            raise _wrong_type(call, number, found, expected)
        else:
            variable = variable or (found if wanted_type is None else None)
    _check_pattern(call)
    result = signature.result or variable
    assert result is not None
    return result


def _check_target(call: Call, signature: Signature, manifest: Manifest) -> None:
    if signature.target is None and call.target is not None:
        raise ExpressionRefused(f"invoking regular function on instance method: {call.function}")
    if signature.target is not None:
        if call.target is None:
            raise ExpressionRefused(f"invoking instance method without an instance: {call.function}")
        found = type_of(call.target, manifest)
        if found is not signature.target:
            raise ExpressionRefused(f"{call} target typeError got {found}, expected {signature.target}")


def _wrong_type(call: Call, number: int, found: ValueType, expected: str) -> ExpressionRefused:
    argument = call.arguments[number - 1]
    return ExpressionRefused(f"{call} arg {number} ({argument}) typeError got {found}, expected {expected}")


def _check_pattern(call: Call) -> None:
    if call.function == "matches" and isinstance(call.target, Constant):
        try:
            re2.compile(call.target.value)
        except re2.error as error:
            raise ExpressionRefused(f"{call.target} is not a regular expression (RE2)") from error
