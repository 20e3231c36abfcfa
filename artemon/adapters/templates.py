"""Templates: the shapes of instances, whose fields are expressions (Mixer's templates of the same names)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from artemon.errors import Problem
from artemon.expr import ExpressionRefused, Manifest, Program, compile_expression
from artemon.expr.values import Value, ValueType
from artemon.model.words import kind_of


class Variety(StrEnum):
    """When instances are made: for what proxies report, or for requests that are under way."""

    REPORT = "report"
    CHECK = "check"
    QUOTA = "quota"


@dataclass(frozen=True, slots=True)
class Field:
    """One expression. types: what it may be; empty: anything. map: a map of names to such expressions."""

    types: frozenset[ValueType] = frozenset()
    required: bool = False
    map: bool = False


Schema = Mapping[str, "Field | Mapping[str, Field]"]


@dataclass(frozen=True, slots=True)
class Template:
    """A shape of instances. fields: by name; those that nest are one level deep."""

    name: str
    variety: Variety
    fields: Schema


Step = Callable[[Mapping[str, Value]], Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """An instance, checked. name: `<namespace>/<name>`. types: of its fields and maps, as they nest."""

    name: str
    template: Template
    types: Mapping[str, Any]
    programs: Mapping[str, Any]

    def values(self, attributes: Mapping[str, Value]) -> Mapping[str, Any]:
        """The fields over a bag of attributes. Raises EvaluationError."""
        return _evaluated(self.programs, attributes)


_STRING = Field(frozenset({ValueType.STRING}))
_ANY_MAP = Field(map=True)
_MONITORED: Mapping[str, Field] = {"monitoredResourceType": _STRING, "monitoredResourceDimensions": _ANY_MAP}

TEMPLATES: Mapping[str, Template] = MappingProxyType(
    {
        one.name: one
        for one in (
            Template(
                "metric",
                Variety.REPORT,
                {"value": Field(required=True), "dimensions": _ANY_MAP, **_MONITORED},
            ),
            Template(
                "logentry",
                Variety.REPORT,
                {
                    "severity": _STRING,
                    "timestamp": Field(frozenset({ValueType.TIMESTAMP})),
                    "variables": _ANY_MAP,
                    **_MONITORED,
                },
            ),
            Template("reportnothing", Variety.REPORT, {}),
            Template("checknothing", Variety.CHECK, {}),
            Template(
                "listentry",
                Variety.CHECK,
                {"value": Field(frozenset({ValueType.STRING, ValueType.IP_ADDRESS}), required=True)},
            ),
            Template(
                "authorization",
                Variety.CHECK,
                {
                    "subject": {"user": _STRING, "groups": _STRING, "properties": _ANY_MAP},
                    "action": {
                        **dict.fromkeys(("namespace", "service", "method", "path"), _STRING),
                        "properties": _ANY_MAP,
                    },
                },
            ),
            Template("quota", Variety.QUOTA, {"dimensions": _ANY_MAP}),
        )
    }
)
"""By name."""
_ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "tracespan": "spans come from the proxies: see spec.tracing of Telemetry",
        "edge": "the graph of calls is made of what proxies report: see meshctl graph",
        "apikey": "keys are checked as listentry with the value request.api_key",
        "kubernetes": "who calls is told by certificates, no adapter makes attributes",
    }
)
"""Mixer's templates that there are not, and what does their work."""


def unknown_template(name: str) -> str:
    """Why an instance cannot be of this template."""
    known = f"use one of {', '.join(TEMPLATES)}"
    return f'"{name}" is no template here; {_ELSEWHERE.get(name, known)}'


def shaped(
    name: str, template: Template, params: Mapping[str, Any], manifest: Manifest
) -> tuple[Shape, list[Problem]]:
    """The instance with these expressions, and all that is wrong with them; paths from `spec.params` on."""
    problems: list[Problem] = []
    programs, types = _read(template.fields, params, manifest, "spec.params", problems)
    return Shape(name, template, types, programs), problems


def _read(
    fields: Schema, params: Any, manifest: Manifest, path: str, problems: list[Problem]
) -> tuple[dict[str, Any], dict[str, Any]]:
    programs: dict[str, Any] = {}
    types: dict[str, Any] = {}
    if not isinstance(params, Mapping):
        problems.append(Problem(path, f"must be a mapping, not {kind_of(params)}"))
        return programs, types
    given = {_camel(str(key)): (str(key), value) for key, value in params.items()}
    for name, (written, value) in given.items():
        field, where = fields.get(name), f"{path}.{written}"
        if field is None:
            known = f" (there are {', '.join(fields)})" if fields else ""
            problems.append(Problem(where, f"is no field of the template{known}"))
        elif isinstance(field, Field):
            read = _map if field.map else _one
            programs[name], types[name] = read(field, value, manifest, where, problems)
        else:
            programs[name], types[name] = _read(field, value, manifest, where, problems)
    for name, field in fields.items():
        if isinstance(field, Field) and field.required and name not in given:
            problems.append(Problem(f"{path}.{name}", "is required"))
    return programs, types


def _map(field: Field, value: Any, manifest: Manifest, path: str, problems: list[Problem]) -> tuple[Any, Any]:
    if not isinstance(value, Mapping):
        problems.append(Problem(path, f"must be a mapping of names to expressions, not {kind_of(value)}"))
        return {}, {}
    found = {str(key): _one(field, one, manifest, f"{path}[{key}]", problems) for key, one in value.items()}
    return {key: one[0] for key, one in found.items()}, {key: one[1] for key, one in found.items()}


def _one(field: Field, value: Any, manifest: Manifest, path: str, problems: list[Problem]) -> tuple[Any, Any]:
    if not isinstance(value, str):
        problems.append(Problem(path, f"must be an expression in quotes, not {kind_of(value)}"))
        return None, None
    try:
        program = compile_expression(value, manifest)
    except ExpressionRefused as error:
        problems.append(Problem(path, str(error)))
        return None, None
    if field.types and program.type not in field.types:
        wanted = " or ".join(sorted(field.types))
        problems.append(Problem(path, f"is {program.type}, must be {wanted}"))
    return program, program.type


def _evaluated(programs: Mapping[str, Any], attributes: Mapping[str, Value]) -> dict[str, Any]:
    return {
        name: one.evaluate(attributes).value if isinstance(one, Program) else _evaluated(one, attributes)
        for name, one in programs.items()
    }


def expressions(programs: Mapping[str, Any]) -> Iterator[Program]:
    """All that is evaluated for an instance."""
    for one in programs.values():
        if isinstance(one, Program):
            yield one
        else:
            yield from expressions(one)


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)
