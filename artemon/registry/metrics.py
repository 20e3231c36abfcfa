"""What operators see of registries, by `registry`."""

from __future__ import annotations

from contextlib import suppress

from prometheus_client import CollectorRegistry, Counter, Gauge

from artemon.registry.view import View


class RegistryMetrics:
    """The metrics of all registries of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"artemon_registry_{name}", text, ["registry"], registry=registry)

        self.up = gauge("up", "Whether the registry answered when last asked.")
        self.age = gauge("view_age_seconds", "Seconds since the view of the registry was surely current.")
        self.services = gauge("services", "Services that the registry brings into the mesh.")
        self.instances = gauge("instances", "Instances of them.")
        self.held = gauge("held_instances", "Instances whose removal is held.")
        self.failures = Counter(
            "artemon_registry_failures", "Times that it could not be read.", ["registry"], registry=registry
        )
        self._held: dict[str, int] = {}

    def forget(self, name: str) -> None:
        """The registry is none any more."""
        for metric in (self.up, self.age, self.services, self.instances, self.held, self.failures):
            with suppress(KeyError):
                metric.remove(name)
        self._held.pop(name, None)

    def tell(self, name: str, view: View, *, held: int) -> bool:
        """Show a view; whether more is held than before."""
        self.services.labels(name).set(view.services)
        self.instances.labels(name).set(view.instances)
        self.held.labels(name).set(held)
        more = held > self._held.get(name, 0)
        self._held[name] = held
        return more
