"""Who may do what, by expressions: a request goes on when one of the policies holds for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field

from artemon.adapters import Adapter, Answer, Handler, Params, Place, Row, Shape
from artemon.errors import Problem
from artemon.expr import EvaluationError, ExpressionRefused, Manifest, Program, compile_expression
from artemon.expr.values import Value, ValueType
from artemon.model.duration import Duration
from artemon.model.message import Seq
from mixerd.adapters.plain import text

DENIED = 7
MANIFEST: Manifest = {
    **{f"subject.{name}": ValueType.STRING for name in ("user", "groups")},
    **{f"action.{name}": ValueType.STRING for name in ("namespace", "service", "method", "path")},
    "subject.properties": ValueType.STRING_MAP,
    "action.properties": ValueType.STRING_MAP,
}
"""What policies may speak of: the fields of `authorization` instances."""


class Policy(Params):
    """name: for people. when: an expression over `subject` and `action`."""

    required: ClassVar[tuple[str, ...]] = ("when",)

    name: str = ""
    when: str = ""


class RbacParams(Params):
    """cachingInterval, cachingUseCount: of answers."""

    required: ClassVar[tuple[str, ...]] = ("policies",)

    policies: Seq[Policy] = ()
    caching_interval: Duration | None = None
    caching_use_count: Annotated[int, Field(ge=0)] = 0


def _problems(params: RbacParams, _: Sequence[Shape]) -> Iterator[Problem]:
    for index, policy in enumerate(params.policies):
        path = f"spec.params.policies[{index}].when"
        try:
            program = compile_expression(policy.when, MANIFEST)
        except ExpressionRefused as error:
            yield Problem(path, str(error))
            continue
        if program.type is not ValueType.BOOL:
            yield Problem(path, f"is {program.type}, must be BOOL")


class Rbac(Handler):
    """Evaluates policies. One whose attributes are absent does not hold."""

    def __init__(self, params: RbacParams, place: Place) -> None:
        self._params, self._name = params, place.name
        self._programs = [compile_expression(one.when, MANIFEST) for one in params.policies]

    async def check(self, row: Row) -> Answer:
        attributes = _flat(row.values)
        interval = self._params.caching_interval
        seconds, uses = interval.seconds if interval else 0.0, self._params.caching_use_count
        if any(_holds(program, attributes) for program in self._programs):
            return Answer(seconds=seconds, uses=uses)
        return Answer(DENIED, f"no policy of {self._name} allows it", seconds, uses)


def _holds(program: Program, attributes: Mapping[str, Value]) -> bool:
    try:
        return bool(program.evaluate(attributes).value)
    except EvaluationError:
        return False


def _flat(values: Mapping[str, Any]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for part, fields in values.items():
        for name, value in fields.items():
            if isinstance(value, Mapping):
                found[f"{part}.{name}"] = {key: text(one) for key, one in value.items()}
            else:
                found[f"{part}.{name}"] = value
    return found


plugin = Adapter(RbacParams, frozenset({"authorization"}), Rbac, _problems)
