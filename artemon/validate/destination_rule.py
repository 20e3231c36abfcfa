"""Rules of DestinationRule (Istio `ValidateDestinationRule`)."""

from __future__ import annotations

from artemon.model.destination_rule import DestinationRule
from artemon.model.resource import Resource
from artemon.validate.addresses import is_ip
from artemon.validate.context import Context
from artemon.validate.findings import Problems, error, repeats, wrong
from artemon.validate.hosts import label, wildcard_domain
from artemon.validate.scope import export_to, labels, match_selector
from artemon.validate.traffic_policy import traffic_policy


def destination_rule(resource: Resource[DestinationRule], context: Context) -> Problems:
    """What is wrong with one rule."""
    spec, namespace = resource.spec, resource.meta.namespace
    if not is_ip(spec.host):
        yield from wrong("spec.host", wildcard_domain(spec.host))
    yield from traffic_policy(spec.traffic_policy, "spec.trafficPolicy", namespace=namespace)
    for index, subset in enumerate(spec.subsets):
        path = f"spec.subsets[{index}]"
        yield from wrong(f"{path}.name", label(subset.name))
        yield from labels(subset.labels, f"{path}.labels")
        yield from traffic_policy(subset.traffic_policy, f"{path}.trafficPolicy", namespace=namespace)
    for index in repeats(subset.name for subset in spec.subsets):
        yield error(f"spec.subsets[{index}].name", f'subset "{spec.subsets[index].name}" is given twice')
    yield from export_to(spec.export_to, namespace=namespace, own_only=spec.workload_selector is not None)
    yield from match_selector(spec.workload_selector, "spec.workloadSelector")
