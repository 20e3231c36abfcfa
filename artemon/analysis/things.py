"""Objects as they are written: findings are told about what is invalid, too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from artemon.analysis.codes import LEVEL_OF, Level

Object = Mapping[str, Any]


def mapping(value: Any) -> Object:
    """`value` where it is a mapping, an empty one otherwise."""
    return value if isinstance(value, Mapping) else {}


def listed(value: Any) -> Sequence[Any]:
    """`value` where it is a list, an empty one otherwise."""
    return value if isinstance(value, list | tuple) else ()


def mappings(value: Any) -> Iterator[tuple[int, Object]]:
    """The mappings of a list, with their places."""
    yield from ((place, one) for place, one in enumerate(listed(value)) if isinstance(one, Mapping))


def text(value: Any) -> str:
    """`value` as text; nothing for None."""
    return "" if value is None else str(value)


def texts(value: Any) -> list[str]:
    """The texts of a list."""
    return [one for one in listed(value) if isinstance(one, str)]


def bracketed(values: Iterable[Any]) -> str:
    """Several values as Istio's messages name them: `[a b]`."""
    return f"[{' '.join(str(one) for one in values)}]"


def labels_of(value: Any) -> dict[str, str]:
    """Labels of a mapping."""
    return {str(key): text(one) for key, one in mapping(value).items()}


@dataclass(frozen=True)
class Thing:
    """One object. namespace: that which it names, or the default one; is_placed: whether it names one."""

    obj: Object
    default: str = "default"

    @property
    def kind(self) -> str:
        return text(self.obj.get("kind"))

    @property
    def group(self) -> str:
        return text(self.obj.get("apiVersion")).rpartition("/")[0]

    @cached_property
    def meta(self) -> Object:
        return mapping(self.obj.get("metadata"))

    @property
    def name(self) -> str:
        return text(self.meta.get("name"))

    @property
    def is_placed(self) -> bool:
        return bool(self.meta.get("namespace"))

    @property
    def namespace(self) -> str:
        return text(self.meta.get("namespace")) or self.default

    @property
    def full(self) -> str:
        """`<namespace>/<name>`."""
        return f"{self.namespace}/{self.name}"

    @property
    def resource(self) -> str:
        """As Istio names it: `<kind> <namespace>/<name>`, without a namespace where none is written."""
        place = f"{self.namespace}/" if self.is_placed else ""
        return f"{self.kind} {place}{self.name}"

    @cached_property
    def labels(self) -> dict[str, str]:
        return labels_of(self.meta.get("labels"))

    @cached_property
    def annotations(self) -> dict[str, str]:
        return labels_of(self.meta.get("annotations"))

    @cached_property
    def spec(self) -> Object:
        return mapping(self.obj.get("spec"))

    @property
    def status(self) -> Object:
        return mapping(self.obj.get("status"))


@dataclass(frozen=True, slots=True)
class Finding:
    """What one object means together with others. resource: its kind and name; path: of the field."""

    code: str
    thing: Thing
    path: str
    message: str

    @property
    def level(self) -> Level:
        return LEVEL_OF[self.code]

    def shown(self) -> dict[str, str]:
        """As `meshctl analyze -o json` prints it."""
        return {"code": self.code, "level": self.level, "resource": self.thing.resource,
                "path": self.path, "message": self.message}  # fmt: skip


Findings = Iterator[Finding]
