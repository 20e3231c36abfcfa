"""Annotations of Istio's on Kubernetes' objects: unknown, on the wrong kind, wrong, or going away."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from artemon.analysis.material import Material
from artemon.analysis.things import Finding, Findings, Thing, labels_of, mapping
from artemon.inject import words
from artemon.inject.annotations import CHECKS, REFUSED

SUPPRESS = "galley.istio.io/analyze-suppress"
_POD, _SERVICE, _INGRESS, _ANY = "Pod", "Service", "Ingress", "Any"
_OTHERS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "kubernetes.io/ingress.class": (_INGRESS,),
    "networking.istio.io/exportTo": (_SERVICE,),
    "networking.istio.io/traffic-distribution": (_SERVICE,),
    "networking.istio.io/service-type": ("Gateway",),
    "networking.istio.io/address-type": ("Gateway",),
    "alpha.istio.io/canonical-serviceaccounts": (_SERVICE,),
    "alpha.istio.io/kubernetes-serviceaccounts": (_SERVICE,),
    "alpha.istio.io/identity": (_SERVICE,),
    "istio.io/dry-run": ("AuthorizationPolicy",),
    "topology.istio.io/controlPlaneClusters": ("Namespace",),
    "prometheus.istio.io/merge-metrics": (_POD,),
    "istio.io/rev": (_ANY,),
    SUPPRESS: (_ANY,),
})  # fmt: skip
"""Annotation -> kinds that it is for, beside those of injection, which are for pods."""
_FREE = ("ambient.istio.io/", "gateway.istio.io/", "install.operator.istio.io/", "internal.istio.io/",
         "meshconfig.istio.io/", "operator.istio.io/")  # fmt: skip
"""Not written by users."""
_GOING = frozenset({
    "sidecar.istio.io/statsInclusionPrefixes", "sidecar.istio.io/statsInclusionSuffixes",
    "sidecar.istio.io/statsInclusionRegexps", "sidecar.istio.io/enableCoreDump",
})  # fmt: skip
_BY_CNI = frozenset({words.INTERCEPTION, words.EXCLUDE_INBOUND, words.INCLUDE_INBOUND,
                     "traffic.sidecar.istio.io/includeOutboundIPRanges"})  # fmt: skip


_KINDS = ("Namespace", "Service", "Pod", "Deployment", "StatefulSet", "DaemonSet")


def written(material: Material) -> Findings:
    """IST0107, IST0108, IST0125, IST0135."""
    for thing in material.of_platform(*_KINDS):
        yield from _judged(thing, thing.annotations, thing.kind, "metadata.annotations")
    for thing, pod in material.pods:
        if thing.kind != "Pod":
            found = labels_of(mapping(pod.get("metadata")).get("annotations"))
            yield from _judged(thing, found, _POD, "spec.template.metadata.annotations")


def _judged(thing: Thing, found: Mapping[str, str], kind: str, place: str) -> Findings:
    for name, value in found.items():
        path = f"{place}[{name}]"
        kinds = _OTHERS.get(name) or ((_POD,) if name in CHECKS or name in REFUSED else ())
        if not kinds:
            if _is_istios(name):
                yield Finding("IST0108", thing, path, f"Unknown annotation: {name}")
            continue
        if _ANY not in kinds and kind not in kinds:
            message = f"Misplaced annotation: {name} can only be applied to {', '.join(kinds)}"
            yield Finding("IST0107", thing, path, message)
        if name in _GOING or name in REFUSED:
            message = f'Annotation "{name}" has been deprecated and may not work in future Istio versions.'
            yield Finding("IST0135", thing, path, message)
        try:
            if name in CHECKS:
                CHECKS[name](value)
        except ValueError as error:
            yield Finding("IST0125", thing, path, f"Invalid annotation {name}: {error}")


def _is_istios(name: str) -> bool:
    domain = name.partition("/")[0]
    return (domain == "istio.io" or domain.endswith(".istio.io")) and not name.startswith(_FREE)


ANALYZERS = (written,)
