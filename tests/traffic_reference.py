"""Writes docs/reference/traffic.md: every traffic field, what becomes of it, the tests that name it.

A test names fields by `proves` in the table of scenarios, by `field` in the table of translated fields, or by
the marker `covers("VirtualService.http.timeout")`. `make reference` writes the page.
"""

from __future__ import annotations

import ast
import typing
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any

from quick_yaml import read_yaml

from artemon.model import kinds
from artemon.model.message import Message
from artemon.validate.coverage import ALL, TRANSLATED

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "reference" / "traffic.md"
SCENARIOS = TESTS / "e2e" / "scenarios" / "table"
FIELDS = TESTS / "unit" / "translate" / "fields"
KINDS = (
    kinds.VIRTUAL_SERVICE,
    kinds.DESTINATION_RULE,
    kinds.GATEWAY,
    kinds.WORKLOAD_ENTRY,
    kinds.SERVICE_ENTRY,
    kinds.WORKLOAD_GROUP,
    kinds.SIDECAR,
    kinds.ENVOY_FILTER,
)
NOT_YET = "accepted, without effect; `meshctl validate` warns"
SAID = {
    "VirtualService.http.fault.delay.exponentialDelay": "refused, as in Istio",
    "VirtualService.http.fault.abort.http2Error": "refused, as in Istio",
    "Gateway.servers.port.targetPort": "refused, as in Istio",
    "Sidecar.ingress.port.targetPort": "refused, as in Istio",
    "Gateway.servers.name": "a name for people",
}
"""What no table says."""
MOST = 3
"""Tests that a row names."""
HEAD = """# Traffic fields

Every field of the traffic kinds: what becomes of it in this version, and tests that name it (at most three).
Messages that occur in several places (`TrafficPolicy`, `StringMatch`, ...) stand where they occur first.
What Istio refuses is refused (`docs/compatibility.md`). Written by `make reference`; a test fails when this
page is stale or a field has no test.
"""
Field = tuple[type[Message], str]


def message_of(annotation: Any) -> type[Message] | None:
    """The message that a field holds, once or many times."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, UnionType):
        return message_of(next(one for one in arguments if one is not type(None)))
    if arguments and origin is not typing.Literal:
        return message_of(arguments[-1] if origin is dict or "Mapping" in str(origin) else arguments[0])
    return annotation if isinstance(annotation, type) and issubclass(annotation, Message) else None


def wires(model: type[Message]) -> dict[str, Any]:
    """Wire name -> annotation."""
    return {info.alias or name: info.annotation for name, info in model.model_fields.items()}


@cache
def rows() -> Mapping[Field, str]:
    """Every field of every message, under the path where it occurs first."""
    found: dict[Field, str] = {}
    for kind in KINDS:
        _walk(kind.spec, kind.name, found, set())
    return found


def _walk(model: type[Message], path: str, found: dict[Field, str], above: set[type[Message]]) -> None:
    for wire, annotation in wires(model).items():
        if (model, wire) in found:
            return
        found[model, wire] = f"{path}.{wire}"
        inner = message_of(annotation)
        if inner is not None and inner not in above:
            _walk(inner, f"{path}.{wire}", found, {*above, model})


def is_field(path: str) -> bool:
    """Whether a path is about the spec of a traffic kind."""
    kind, _, rest = path.partition(".")
    known = {one.name for one in KINDS}
    return kind in known and rest.partition(".")[0] not in ("metadata", "status")


def field_of(path: str) -> Field:
    """The field that a path means, wherever its message occurs. Raises KeyError for what is no field."""
    kind, *names = path.split(".")
    model: type[Message] | None = next(one.spec for one in KINDS if one.name == kind)
    field: Field | None = None
    for name in names:
        if model is None or name not in wires(model):
            raise KeyError(path)
        field = (model, name)
        model = message_of(wires(model)[name])
    if field is None:
        raise KeyError(path)
    return field


def status(path: str) -> str:
    """What becomes of a field: translated, as a whole or for some values, or not."""
    if path in SAID:
        return SAID[path]
    kind, *names = path.split(".")
    known: Any = TRANSLATED.get(kind, {})
    for name in names:
        if known is ALL or not isinstance(known, Mapping):
            break
        if name not in known:
            return NOT_YET
        known = known[name]
    return f"translated: {', '.join(sorted(known))}" if isinstance(known, set) else "translated"


@cache
def named() -> Sequence[tuple[str, str]]:
    """(path, test) for each test that names a field."""
    return [
        *_scenarios(),
        *_fields(),
        *(one for file in sorted(TESTS.rglob("test_*.py")) for one in _marked(file)),
    ]


def _scenarios() -> Iterator[tuple[str, str]]:
    for file in sorted(SCENARIOS.glob("*.yaml")):
        for row in read_yaml(file.read_text()):
            proves = row.get("proves", ())
            for path in (proves,) if isinstance(proves, str) else proves:
                yield path, f"scenario `{row['id']}`"


def _fields() -> Iterator[tuple[str, str]]:
    for file in sorted(FIELDS.glob("*.yaml")):
        for row in read_yaml(file.read_text()):
            if "field" in row:
                yield row["field"], f"`fields/{file.name}`"


def _marked(file: Path) -> Iterator[tuple[str, str]]:
    text = file.read_text()
    if "mark.covers(" not in text:
        return
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for decorator in node.decorator_list:
                for path in _covered(decorator):
                    yield path, f"`{file.stem}::{node.name}`"
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "pytestmark":
            for path in _covered(node.value):
                yield path, f"`{file.stem}`"


def _covered(node: ast.AST) -> Iterator[str]:
    """The texts in calls of the marker."""
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "covers":
            yield from (one.value for one in call.args if isinstance(one, ast.Constant))


@cache
def tests() -> Mapping[Field, tuple[str, ...]]:
    """Field -> the tests that name it."""
    found: dict[Field, dict[str, None]] = {}
    for path, test in named():
        if is_field(path):
            found.setdefault(field_of(path), {})[test] = None
    return {field: tuple(names) for field, names in found.items()}


def holds_message(field: Field) -> bool:
    """Whether a field only holds others."""
    return message_of(wires(field[0])[field[1]]) is not None


def untested() -> list[str]:
    """Translated fields that no test names; a field that holds others counts by them."""
    by_path = {path: field for field, path in rows().items()}
    covered = {path for path, field in by_path.items() if field in tests()}
    return [
        path
        for path, field in by_path.items()
        if status(path).startswith("translated")
        and path not in covered
        and not (holds_message(field) and any(one.startswith(f"{path}.") for one in covered))
    ]


def page() -> str:
    """The text of the page."""
    out = [HEAD]
    for kind in KINDS:
        listed = [(field, path) for field, path in rows().items() if path.startswith(f"{kind.name}.")]
        out.append(f"\n## {kind.name}\n\n| field | status | tests |\n|---|---|---|\n")
        for field, path in listed:
            names = ", ".join(tests().get(field, ())[:MOST])
            out.append(f"| `{path.removeprefix(f'{kind.name}.')}` | {status(path)} | {names} |\n")
    return "".join(out)


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page())
