"""Filters that see only the requests that a rule of mixerd could be about.

An expression becomes a condition of Envoy's that holds at least where the expression does: what it says of
the path, the method and headers is taken over, all else counts as true.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from envoy.extensions.common.matching.v3.extension_matcher_pb2 import ExtensionWithMatcher
from envoy.extensions.filters.common.matcher.action.v3.skip_action_pb2 import SkipFilter
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter
from envoy.type.matcher.v3.http_inputs_pb2 import HttpRequestHeaderMatchInput
from xds.type.matcher.v3.matcher_pb2 import Matcher
from xds.type.matcher.v3.string_pb2 import StringMatcher

from artemon.expr import ExpressionRefused
from artemon.expr.syntax import Attribute, Call, Constant, Node, parse
from artemon.expr.values import ValueType
from artemon.translate.wire import packed

Condition = Any
"""`Matcher.MatcherList.Predicate`."""
_Condition: Any = Matcher.MatcherList.Predicate
_Texts: Any = StringMatcher
_HEADERS = {"request.path": ":path", "request.method": ":method"}


def condition(expression: str) -> Condition | None:
    """When the expression could hold; None: for any request."""
    if not expression:
        return None
    try:
        return _of(parse(expression))
    except ExpressionRefused:  # mixerd says what is wrong with it
        return None


def any_of(conditions: Sequence[Condition | None]) -> Condition | None:
    """When one of them holds; None: always. There must be one."""
    known = [one for one in conditions if one is not None]
    if len(known) < len(conditions):
        return None
    return known[0] if len(known) == 1 else _Condition(or_matcher=_Condition.PredicateList(predicate=known))


def negated(one: Condition) -> Condition:
    """When it does not hold."""
    return _Condition(not_matcher=one)


def skipped_when(unwanted: Condition, inner: HttpFilter) -> HttpFilter:
    """The filter, for all other requests."""
    out = ExtensionWithMatcher()
    only = out.xds_matcher.matcher_list.matchers.add()
    only.predicate.CopyFrom(unwanted)
    only.on_match.action.name = "skip"
    only.on_match.action.typed_config.CopyFrom(packed(SkipFilter()))
    out.extension_config.name = inner.name
    out.extension_config.typed_config.CopyFrom(inner.typed_config)
    return HttpFilter(name=inner.name, typed_config=packed(out))


def _of(node: Node) -> Condition | None:
    if not isinstance(node, Call):
        return None
    if node.function == "LAND":
        known = [one for one in map(_of, node.arguments) if one is not None]
        if len(known) < 2:
            return known[0] if known else None
        return _Condition(and_matcher=_Condition.PredicateList(predicate=known))
    if node.function == "LOR":
        return any_of([_of(one) for one in node.arguments])
    return _test(node)


def _test(node: Call) -> Condition | None:
    """`request.path == "/a"`, `match(request.headers["x"], "a*")`, `request.path.startsWith("/a")`."""
    operands = (*((node.target,) if node.target is not None else ()), *node.arguments)
    if len(operands) != 2:
        return None
    left, right = operands
    if node.function == "EQ" and isinstance(left, Constant):
        left, right = right, left
    header = _header(left)
    if not header or not isinstance(right, Constant) or right.type is not ValueType.STRING:
        return None
    text = _text(node.function, str(right.value))
    # What is no UTF-8 comes to mixerd with "!" in its place.
    return None if text is None or "!" in str(right.value) else _condition(header, text)


def _header(node: Node) -> str:
    if isinstance(node, Attribute):
        return _HEADERS.get(node.name, "")
    if isinstance(node, Call) and node.function == "INDEX":
        whole, key = node.arguments
        if isinstance(whole, Attribute) and whole.name == "request.headers" and isinstance(key, Constant):
            name = str(key.value)
            return name if name == name.lower() and not name.startswith(":") else ""
    return ""


def _text(function: str, value: str) -> Any:
    """Envoy takes no empty beginnings and ends, which everything has."""
    if function == "match":
        function = "startsWith" if value.endswith("*") else "endsWith" if value.startswith("*") else "EQ"
        value = value.removesuffix("*") if function == "startsWith" else value.removeprefix("*")
    if function == "EQ":
        return _Texts(exact=value) if value else None
    if function == "startsWith":
        return _Texts(prefix=value) if value else None
    return _Texts(suffix=value) if function == "endsWith" and value else None


def _condition(header: str, text: Any) -> Condition:
    out = _Condition()
    single = out.single_predicate
    single.input.name = header
    single.input.typed_config.CopyFrom(packed(HttpRequestHeaderMatchInput(header_name=header)))
    single.value_match.CopyFrom(text)
    return out
