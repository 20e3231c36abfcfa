"""What is known of an expression before all attributes are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from artemon.expr.errors import EvaluationError
from artemon.expr.evaluate import compile_node
from artemon.expr.manifest import Manifest
from artemon.expr.syntax import Attribute, Call, Node, parse
from artemon.expr.values import Value


def could_hold(source: str, manifest: Manifest, known: Mapping[str, Value]) -> bool:
    """Whether a condition can be true where these attributes have these values, whatever the others are.
    False is certain. Raises ExpressionRefused."""
    return _could(parse(source), True, manifest, known)


def _could(node: Node, wanted: bool, manifest: Manifest, known: Mapping[str, Value]) -> bool:
    if isinstance(node, Call) and node.function in ("LAND", "LOR"):
        parts = (_could(one, wanted, manifest, known) for one in node.arguments)
        return all(parts) if (node.function == "LAND") is wanted else any(parts)
    if any(name not in known for name in _attributes(node)):
        return True
    try:
        return compile_node(str(node), node, manifest).evaluate(known).value is wanted
    except EvaluationError:
        return not wanted


def _attributes(node: Node) -> Iterator[str]:
    if isinstance(node, Attribute):
        yield node.name
    elif isinstance(node, Call):
        for one in (*((node.target,) if node.target is not None else ()), *node.arguments):
            yield from _attributes(one)
