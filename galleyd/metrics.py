"""What galleyd counts beside its requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from artemon.model.resource import Kind

_HELP = {
    "galley_validation_passed": "Objects that were admitted.",
    "galley_validation_failed": "Objects that were refused.",
}


class Verdicts(Collector):
    """Counts what is admitted and refused, with Istio's exact names, which lack the suffix `_total`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counts: Counter[tuple[str, Kind, str]] = Counter()
        registry.register(self)

    def count(self, kind: Kind, reason: str) -> None:
        """One verdict; reason "" is admitted."""
        name = "galley_validation_failed" if reason else "galley_validation_passed"
        self._counts[name, kind, reason] += 1

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        for name, text in _HELP.items():
            metric = Metric(name, text, "unknown")
            for (counted, kind, reason), value in self._counts.items():
                if counted == name:
                    labels = {"group": kind.group, "version": kind.versions[0], "resource": kind.plural}
                    metric.add_sample(name, {**labels, "reason": reason} if reason else labels, value)
            yield metric
