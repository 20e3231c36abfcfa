"""Values of expressions. A checked expression becomes nested functions once, then runs for every bag."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import ge, gt, le, lt
from types import MappingProxyType
from typing import Any

from artemon.expr.check import type_of
from artemon.expr.errors import EvaluationError
from artemon.expr.functions import DOES, SAME
from artemon.expr.manifest import Manifest
from artemon.expr.syntax import Attribute, Call, Constant, Node, parse
from artemon.expr.values import Value, ValueType

INT64 = range(-(2**63), 2**63)
_ORDER: Mapping[str, Callable[[Any, Any], bool]] = MappingProxyType(
    {"LT": lt, "LEQ": le, "GT": gt, "GEQ": ge}
)


class _Absent(Exception):
    """An attribute or entry is absent, and `|` says what then."""


@dataclass(slots=True)
class _Seen:
    """One bag of attributes and what was asked of it."""

    attributes: Mapping[str, Value]
    referenced: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Result:
    """A value and what it depends on: the same answer holds wherever the referenced attributes are the same.

    referenced: sorted; `a`, `map[key]`, and `-a` for one whose absence counted.
    """

    value: Value
    referenced: tuple[str, ...]


_Step = Callable[[_Seen], Value]


@dataclass(frozen=True, slots=True)
class Program:
    """A checked expression."""

    source: str
    type: ValueType
    _run: _Step

    def evaluate(self, attributes: Mapping[str, Value]) -> Result:
        """Its value over `attributes`. Raises EvaluationError."""
        seen = _Seen(attributes)
        value = self._run(seen)
        return Result(value, tuple(sorted(seen.referenced)))


def compile_expression(source: str, manifest: Manifest) -> Program:
    """`source`, checked against the types of attributes. Raises ExpressionRefused."""
    return compile_node(source, parse(source), manifest)


def compile_node(source: str, node: Node, manifest: Manifest) -> Program:
    """The same of a tree, or a part of one."""
    return Program(source, type_of(node, manifest), _Compiler(manifest).step(node))


class _Compiler:
    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest

    def step(self, node: Node, *, soft: bool = False) -> _Step:
        """What gives the value of `node`. soft: `|` follows, which takes over where something is absent."""
        if isinstance(node, Constant):
            constant = node.value
            return lambda _: constant
        if isinstance(node, Attribute):
            return _attribute(node.name, soft=soft)
        special = _SPECIAL.get(node.function)
        return special(self, node, soft) if special else self._plain(node)

    def _plain(self, call: Call) -> _Step:
        does = DOES[call.function]
        operands = (*((call.target,) if call.target is not None else ()), *call.arguments)
        steps = [self.step(operand) for operand in operands]
        return lambda seen: does(*(step(seen) for step in steps))

    def _or(self, call: Call, soft: bool) -> _Step:
        left = self.step(call.arguments[0], soft=True)
        right = self.step(call.arguments[1], soft=soft)

        def first(seen: _Seen) -> Value:
            try:
                return left(seen)
            except _Absent:
                return right(seen)

        return first

    def _index(self, call: Call, soft: bool) -> _Step:
        whole, key = (self.step(one, soft=soft) for one in call.arguments)
        name = call.arguments[0].name if isinstance(call.arguments[0], Attribute) else ""

        def entry(seen: _Seen) -> Value:
            entries: Any = whole(seen)
            wanted = key(seen)
            found: Value | None = entries.get(wanted)
            if name:
                seen.referenced.add(f"{name}[{wanted}]" if found is not None else f"-{name}[{wanted}]")
            if found is None:
                raise _missing(f"member lookup failed: '{wanted}' of {call.arguments[0]}", soft=soft)
            return found

        return entry

    def _logic(self, call: Call, _: bool) -> _Step:
        left, right = map(self.step, call.arguments)
        decides = call.function == "LOR"
        return lambda seen: decides if left(seen) is decides else right(seen)

    def _equal(self, call: Call, _: bool) -> _Step:
        left, right = map(self.step, call.arguments)
        same = SAME.get(type_of(call.arguments[0], self._manifest), _itself)
        wanted = call.function == "EQ"
        return lambda seen: (same(left(seen)) == same(right(seen))) is wanted

    def _ordered(self, call: Call, _: bool) -> _Step:
        left, right = map(self.step, call.arguments)
        holds = _ORDER[call.function]
        return lambda seen: holds(_ranked(left(seen)), _ranked(right(seen)))

    def _add(self, call: Call, _: bool) -> _Step:
        left, right = map(self.step, call.arguments)

        def total(seen: _Seen) -> Value:
            found: Any = left(seen)
            found = found + right(seen)
            if isinstance(found, int) and found not in INT64:
                raise EvaluationError(f"{call} does not fit INT64")
            return found  # type: ignore[no-any-return]

        return total

    def _conditional(self, call: Call, _: bool) -> _Step:
        condition, then, otherwise = map(self.step, call.arguments)
        return lambda seen: then(seen) if condition(seen) else otherwise(seen)


_SPECIAL: Mapping[str, Callable[[_Compiler, Call, bool], _Step]] = MappingProxyType(
    {
        "OR": _Compiler._or,
        "INDEX": _Compiler._index,
        **dict.fromkeys(("conditional", "conditionalString"), _Compiler._conditional),
        "ADD": _Compiler._add,
        **dict.fromkeys(("LAND", "LOR"), _Compiler._logic),
        **dict.fromkeys(("EQ", "NEQ"), _Compiler._equal),
        **dict.fromkeys(("LT", "LEQ", "GT", "GEQ"), _Compiler._ordered),
    }
)
"""Functions that do not evaluate all of their arguments, or do it in their own way."""


def _attribute(name: str, *, soft: bool) -> _Step:
    def value(seen: _Seen) -> Value:
        found = seen.attributes.get(name)
        seen.referenced.add(name if found is not None else f"-{name}")
        if found is None:
            raise _missing(f"lookup failed: '{name}'", soft=soft)
        return found

    return value


def _missing(reason: str, *, soft: bool) -> Exception:
    return _Absent() if soft else EvaluationError(reason)


def _itself(value: Value) -> Any:
    return value


def _ranked(value: Value) -> Any:
    """Texts are ordered by their bytes."""
    return value.encode() if isinstance(value, str) else value
