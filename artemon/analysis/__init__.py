"""Findings across objects, with Istio's codes: what each of them means where the others are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from itertools import chain

from artemon.analysis import (
    annotated,
    edges,
    images,
    patches,
    platform,
    policies,
    routes,
    schema,
    services,
    webhooks,
)
from artemon.analysis.codes import LEVEL_OF, LEVELS, NAME_OF, Level, at_least
from artemon.analysis.material import Material, Offer, Port, Running
from artemon.analysis.things import Finding, Findings, Thing
from artemon.validate import Context

ANALYZERS: Sequence[Callable[[Material], Findings]] = (
    *routes.ANALYZERS,
    *edges.ANALYZERS,
    *services.ANALYZERS,
    *policies.ANALYZERS,
    *patches.ANALYZERS,
    *platform.ANALYZERS,
    *images.ANALYZERS,
    *annotated.ANALYZERS,
    *webhooks.ANALYZERS,
    *schema.ANALYZERS,
)


def analyze(material: Material, context: Context | None = None) -> list[Finding]:
    """Every finding, the worst first; those that an object's own annotation suppresses are left out."""
    found = chain(
        schema.objects(material, context or Context()), *(analyzer(material) for analyzer in ANALYZERS)
    )
    by_text = {(one.code, one.thing.kind, one.thing.full, one.path, one.message): one for one in found}
    return sorted((one for one in by_text.values() if not _is_suppressed(one)), key=_order)


def _order(finding: Finding) -> tuple[int, str, str, str]:
    return -LEVELS.index(finding.level), finding.code, finding.thing.resource, finding.path


def _is_suppressed(finding: Finding) -> bool:
    codes = finding.thing.annotations.get(annotated.SUPPRESS, "")
    return any(one.strip() in ("*", finding.code) for one in codes.split(",") if one.strip())


def is_suppressed(code: str, resource: str, rules: Iterable[tuple[str, str]]) -> bool:
    """Whether one of `rules` says so: a code (`*` for all) and a resource, `*` for any text in it. Resources
    may be written as istioctl does, `<kind> <name>.<namespace>`."""
    kind, _, full = resource.partition(" ")
    namespace, slash, name = full.rpartition("/")
    names = (resource, f"{kind} {name}.{namespace}" if slash else resource)
    return any(
        wanted in ("*", code) and any(fnmatchcase(one, pattern) for one in names) for wanted, pattern in rules
    )


__all__ = [
    "ANALYZERS",
    "LEVELS",
    "LEVEL_OF",
    "NAME_OF",
    "Finding",
    "Level",
    "Material",
    "Offer",
    "Port",
    "Running",
    "Thing",
    "analyze",
    "at_least",
    "is_suppressed",
]
