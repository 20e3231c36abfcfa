"""Rules of mixerd for which requests wait: those that send checks or quotas."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from artemon.model.mixer import asked_of, fails_open
from artemon.model.resource import Resource


@dataclass(frozen=True, slots=True)
class AskedRule:
    """name: `<namespace>/<name>`. match: its expression, "" for everything. fail_open: whether requests go on
    when nobody can be asked."""

    name: str
    match: str
    fail_open: bool


AskedRules = Mapping[str, tuple[AskedRule, ...]]
"""By namespace."""


def asked_rules(rules: Iterable[Resource[Any]], instances: Iterable[Resource[Any]]) -> AskedRules:
    """Those that ask before requests go on; all others are nobody's but mixerd's."""
    templates = {f"{one.meta.namespace}/{one.meta.name}": one.spec.compiled_template for one in instances}
    found: defaultdict[str, list[AskedRule]] = defaultdict(list)
    for one in sorted(rules, key=lambda one: (one.meta.namespace, one.meta.name)):
        namespace = one.meta.namespace
        asked = asked_of(one.spec, namespace, templates)
        if asked:
            name = f"{namespace}/{one.meta.name}"
            found[namespace].append(AskedRule(name, one.spec.match.strip(), fails_open(one.spec, asked)))
    return {namespace: tuple(many) for namespace, many in found.items()}
