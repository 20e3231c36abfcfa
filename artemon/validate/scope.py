"""To what an object applies: workload selectors, target references, exportTo, labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from artemon.model.envelope import is_label_value, is_qualified_name
from artemon.model.selector import LabelsSelector, MatchLabelsSelector, PolicyTargetReference
from artemon.model.words import path_of
from artemon.validate.findings import Problems, Reason, error, warning, wrong
from artemon.validate.hosts import is_label

MAX_TARGETS = 16
GATEWAY_API = "gateway.networking.k8s.io"
TARGETS = {
    ("", "Service"),
    ("core", "Service"),
    ("networking.istio.io", "ServiceEntry"),
    (GATEWAY_API, "Gateway"),
    (GATEWAY_API, "GatewayClass"),
}


class Targeted(Protocol):
    """A spec that applies to workloads or to named objects."""

    @property
    def selector(self) -> MatchLabelsSelector | None: ...
    @property
    def target_refs(self) -> Sequence[PolicyTargetReference]: ...


def labels(pairs: Mapping[str, str], path: str) -> Problems:
    """Labels of a workload must be labels as Kubernetes knows them."""
    for key, value in pairs.items():
        where = path_of((key,), path)
        if not is_qualified_name(key.lower()) and not is_qualified_name(key):
            yield error(where, f'key "{key}" is not a label ([prefix/]name)')
        if not is_label_value(value):
            yield error(where, f'"{value}" is not a label\'s value')


def selector(pairs: Mapping[str, str] | None, path: str) -> Problems:
    """What a selector selects by; None when none was written."""
    if pairs is None:
        return
    for key, value in pairs.items():
        where = path_of((key,), path)
        if not key:
            yield error(path, "an empty key is not allowed in a selector")
        if "*" in key or "*" in value:
            yield error(where, "wildcards are not allowed in a selector")
    if not pairs:
        yield warning(path, "selects by no label and so applies to the whole namespace")


def labels_selector(value: LabelsSelector | None) -> Problems:
    """`workloadSelector.labels`."""
    yield from selector(None if value is None else value.labels, "spec.workloadSelector.labels")


def match_selector(value: MatchLabelsSelector | None, path: str = "spec.selector") -> Problems:
    """`selector.matchLabels`."""
    yield from selector(None if value is None else value.match_labels, f"{path}.matchLabels")


def targets(spec: Targeted, *, namespace: str, root_namespace: str) -> Problems:
    """`selector`, `targetRef` and `targetRefs` of a policy."""
    single: PolicyTargetReference | None = getattr(spec, "target_ref", None)
    if (spec.selector is not None) + (single is not None) + bool(spec.target_refs) > 1:
        yield error("spec", "only one of selector, targetRef and targetRefs may be set")
    yield from match_selector(spec.selector)
    if len(spec.target_refs) > MAX_TARGETS:
        yield error("spec.targetRefs", f"must have at most {MAX_TARGETS} entries")
    named = [] if single is None else [("spec.targetRef", single)]
    named += [(f"spec.targetRefs[{index}]", target) for index, target in enumerate(spec.target_refs)]
    for path, target in named:
        yield from _target(target, path, namespace=namespace, root_namespace=root_namespace)


def _target(target: PolicyTargetReference, path: str, *, namespace: str, root_namespace: str) -> Problems:
    if not target.name:
        yield error(f"{path}.name", "is required")
    if target.namespace:
        yield error(f"{path}.namespace", "must not be set; a policy applies to its own namespace only")
    if (target.group, target.kind) not in TARGETS:
        yield error(f"{path}.kind", f"a policy cannot target {target.group or 'core'}/{target.kind}")
    elif target.kind == "GatewayClass" and namespace != root_namespace:
        yield error(
            f"{path}.kind", f"a GatewayClass can be targeted from the namespace {root_namespace} only"
        )


def export_to(
    entries: Sequence[str], *, namespace: str, nobody: bool = False, own_only: bool = False
) -> Problems:
    """Who may see an object. nobody: whether `~` may be written; own_only: only the own namespace may."""
    path = "spec.exportTo"
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        key = namespace if entry == "." else entry
        if key in seen:
            same = f'"." is the namespace {namespace}' if key != entry else "twice"
            yield error(f"{path}[{index}]", f'"{entry}" repeats an entry ({same})')
        yield from wrong(f"{path}[{index}]", _visibility(key, nobody=nobody))
        seen.add(key)
    if own_only and seen and seen != {namespace}:
        yield error(path, 'a rule with workloadSelector can be exported to its own namespace (".") only')
    for alone, what in (("*", "everyone"), ("~", "no one")):
        if alone in seen and len(entries) > 1:
            yield error(path, f'"{alone}" ({what}) must be the only entry')


def _visibility(entry: str, *, nobody: bool) -> Reason:
    if entry == "~":
        return None if nobody else '"~" (no one) is for ServiceEntry only'
    return None if entry == "*" or is_label(entry) else f'"{entry}" is not a namespace, "." or "*"'
