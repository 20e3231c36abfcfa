"""Objects that choose workloads: whom they choose, who else does, and what is in vain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import combinations
from typing import Any

from artemon.analysis.material import Material
from artemon.analysis.things import (
    Finding,
    Findings,
    Thing,
    bracketed,
    labels_of,
    mapping,
    mappings,
    text,
    texts,
)
from artemon.model.resource import Resource
from artemon.model.selector import matches
from artemon.model.tolerant import decode_tolerantly
from artemon.validate.exposure import tcp_ports
from artemon.validate.policy_reach import unmet

_GATEWAY = "gateway.networking.k8s.io/gateway-name"
_POLICIES = ("AuthorizationPolicy", "RequestAuthentication", "PeerAuthentication", "WasmPlugin")
_UNDEFINED = ", which can lead to undefined behavior."


def chosen_by(thing: Thing) -> dict[str, str]:
    """The labels that an object chooses workloads by."""
    if thing.kind == "Sidecar":
        return labels_of(mapping(thing.spec.get("workloadSelector")).get("labels"))
    return labels_of(mapping(thing.spec.get("selector")).get("matchLabels"))


def _reach(thing: Thing, material: Material) -> str | None:
    """The namespace that it chooses from; None: all."""
    return None if thing.namespace == material.mesh.root_namespace else thing.namespace


def without_workloads(material: Material) -> Findings:
    """Selectors that select nothing (IST0127; IST0101 where Istio says so), and policies for namespaces
    where nothing is."""
    for thing in material.of_kind(*_POLICIES, "Sidecar", "Telemetry"):
        chosen, place = chosen_by(thing), _reach(thing, material)
        if not chosen and (thing.kind != "AuthorizationPolicy" or place is None or any(_targets(thing))):
            continue
        found = material.selected(chosen, place)
        if thing.kind == "AuthorizationPolicy":
            found = [one for one in found if not one.about or one.about.resource not in material.outside]
        if found:
            continue
        shown = ",".join(f"{key}={value}" for key, value in sorted(chosen.items()))
        if thing.kind in ("Sidecar", "Telemetry"):
            path = "spec.workloadSelector" if thing.kind == "Sidecar" else "spec.selector"
            yield Finding("IST0101", thing, path, f'Referenced selector not found: "{shown}"')
        else:
            message = f"No matching workloads for this resource with the following labels: {shown}"
            yield Finding("IST0127", thing, "spec.selector" if chosen else "spec", message)


def _colliding(kind: str, several: str, same: str, material: Material) -> Findings:
    """Objects of a kind of which one alone counts: without a selector, or for one workload."""
    spaces: dict[str, list[Thing]] = {}
    for thing in material.of_kind(kind):
        spaces.setdefault(thing.namespace, []).append(thing)
    plural = "Sidecars" if kind == "Sidecar" else "Telemetries"
    for namespace, things in spaces.items():
        bare = [one for one in things if not chosen_by(one) and not list(_targets(one))]
        names = [one.name for one in bare]
        for one in bare if len(bare) > 1 else ():
            message = (
                f'The {plural} {bracketed(names)} in namespace "{namespace}" have no workload selector'
                f"{_UNDEFINED}"
            )
            yield Finding(several, one, "spec", message)
        yield from _overlapping(things, namespace, plural, same, material)


def _overlapping(
    things: Sequence[Thing], namespace: str, plural: str, code: str, material: Material
) -> Findings:
    told: set[tuple[str, str]] = set()
    choosing = [one for one in things if chosen_by(one)]
    for running in material.selected({}, namespace):
        found = [one for one in choosing if matches(chosen_by(one), running.labels)]
        name = running.about.name if running.about else str(dict(running.labels))
        names = [one.name for one in found]
        for one in found if len(found) > 1 else ():
            if (one.full, name) not in told:
                told.add((one.full, name))
                message = (
                    f'The {plural} {bracketed(names)} in namespace "{namespace}" select the same workload '
                    f'pod "{name}"{_UNDEFINED}'
                )
                yield Finding(code, one, "spec", message)


def _targets(thing: Thing) -> Iterator[str]:
    """Names of what an object is attached to."""
    single = mapping(thing.spec.get("targetRef"))
    if single:
        yield text(single.get("name"))
    yield from (text(one.get("name")) for _, one in mappings(thing.spec.get("targetRefs")))


def sidecars(material: Material) -> Findings:
    """IST0110, IST0111."""
    return _colliding("Sidecar", "IST0111", "IST0110", material)


def telemetries(material: Material) -> Findings:
    """IST0159, IST0160, and providers that are not said (IST0157) or that nobody defines (IST0101)."""
    yield from _colliding("Telemetry", "IST0160", "IST0159", material)
    providers = {one.name for one in material.mesh.extension_providers} | _BUILT_IN
    for thing in material.of_kind("Telemetry"):
        for field in ("metrics", "accessLogging", "tracing"):
            for index, entry in mappings(thing.spec.get(field)):
                path = f"spec.{field}[{index}].providers"
                names = [text(one.get("name")) for _, one in mappings(entry.get("providers"))]
                off = entry.get("disabled") or entry.get("disableSpanReporting")
                if not names and field == "accessLogging" and not off and not _has_default(material):
                    message = (
                        f'The Telemetry {thing.name} in namespace "{thing.namespace}" with empty providers '
                        "will be ignored."
                    )
                    yield Finding("IST0157", thing, path, message)
                for number, name in enumerate(names):
                    if name and name not in providers:
                        yield Finding(
                            "IST0101", thing, f"{path}[{number}].name",
                            f'Referenced extensionProvider not found: "{name}"',
                        )  # fmt: skip


_BUILT_IN = frozenset({"prometheus", "stackdriver", "envoy"})


def _has_default(material: Material) -> bool:
    providers = material.mesh.default_providers
    return bool(providers and providers.access_logging)


def of_generated_gateways(material: Material) -> Findings:
    """Selectors of gateways that Kubernetes makes, which take targetRefs instead (IST0166)."""
    for thing in material.of_kind("RequestAuthentication", "AuthorizationPolicy", "WasmPlugin", "Telemetry"):
        name = chosen_by(thing).get(_GATEWAY)
        if name and not list(_targets(thing)):
            message = f"Ineffective selector on Kubernetes Gateway {name}. Use the TargetRef field instead."
            yield Finding("IST0166", thing, "spec.selector", message)


def conditions(material: Material) -> Findings:
    """Objects whose status says that something is wrong (IST0171)."""
    for thing in material.things:
        parents = (one.get("conditions") for _, one in mappings(thing.status.get("parents")))
        for many in (thing.status.get("conditions"), *parents):
            for _, one in mappings(many):
                if _is_bad(*(text(one.get(name)) for name in ("type", "status", "reason"))):
                    message = (
                        f"A condition with a negative status is present: type={text(one.get('type'))}, "
                        f"reason={text(one.get('reason'))}, message={text(one.get('message'))}."
                    )
                    yield Finding("IST0171", thing, "status.conditions", message)


_CONDITIONS = frozenset({
    "istio.io/WaypointBound", "ZtunnelAccepted", "WaypointAccepted", "Accepted", "Programmed", "ResolvedRefs",
    "Reconciled", "PassthroughResolved", "Healthy",
})  # fmt: skip


def _is_bad(kind: str, status: str, reason: str) -> bool:
    return kind in _CONDITIONS and (status == "False" or reason == "PartiallyInvalid")


def authorizers(material: Material) -> Findings:
    """What policies cannot do where they are in force, and two authorizers for one workload (IST0133)."""
    entries, machines = (
        [one.obj for one in material.of_kind(kind)] for kind in ("ServiceEntry", "WorkloadEntry")
    )
    ports = tuple(tcp_ports(entries, machines, ()))
    for thing in material.of_kind("AuthorizationPolicy"):
        resource: Resource[Any] | None = decode_tolerantly(thing.obj, namespace=thing.default).resource
        for path, message in unmet(resource, ports, material.mesh) if resource is not None else ():
            code = "IST0101" if path == "spec.provider.name" else "IST0133"
            yield Finding(code, thing, path, message)
    asking = [
        one for one in material.of_kind("AuthorizationPolicy") if text(one.spec.get("action")) == "CUSTOM"
    ]
    for one, other in combinations(asking, 2):
        mine, theirs = (text(mapping(each.spec.get("provider")).get("name")) for each in (one, other))
        if mine != theirs and _meet(one, other, material):
            for each, rival in ((one, other), (other, one)):
                message = (
                    f"AuthorizationPolicy {rival.full} asks another provider about the same "
                    "workloads; a workload "
                    "has one, so whatever either matches is refused there"
                )
                yield Finding("IST0133", each, "spec.provider.name", message)


def _meet(one: Thing, other: Thing, material: Material) -> bool:
    """Whether two policies can be in force at one workload."""
    spaces = {one.namespace, other.namespace}
    if len(spaces) > 1 and material.mesh.root_namespace not in spaces:
        return False
    refs, others = set(_targets(one)), set(_targets(other))
    if refs or others:
        return bool(refs & others)
    mine, theirs = chosen_by(one), chosen_by(other)
    return mine.items() <= theirs.items() or theirs.items() <= mine.items() or any(
        matches(mine, running.labels) and matches(theirs, running.labels) for running in material.workloads
    )  # fmt: skip


def namespaces(material: Material) -> Findings:
    """Namespaces of callers that nobody has (IST0101), where the files or the mesh name namespaces."""
    known = {one.name for one in material.of_platform("Namespace")}
    for thing in material.of_kind("AuthorizationPolicy") if known else ():
        for index, rule in mappings(thing.spec.get("rules")):
            for number, origin in mappings(rule.get("from")):
                source = mapping(origin.get("source"))
                for field in ("namespaces", "notNamespaces"):
                    for place, value in enumerate(texts(source.get(field))):
                        if not any(fnmatchcase(one, value) for one in known):
                            path = f"spec.rules[{index}].from[{number}].source.{field}[{place}]"
                            message = f'Referenced namespace not found: "{value}"'
                            yield Finding("IST0101", thing, path, message)


ANALYZERS = (
    without_workloads,
    sidecars,
    telemetries,
    of_generated_gateways,
    conditions,
    authorizers,
    namespaces,
)
