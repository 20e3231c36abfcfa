"""What pilotd counts, by Istio's names where it has one."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3, 5, 10, 20, 30)


class Metrics:
    """The metrics of one pilotd, in the given registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._sent: dict[str, tuple[Counter, Counter]] = {}
        self._of_streams()
        self._of_times()
        self._of_contents()
        self._of_the_registry()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, registry=self._registry)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(name, text, buckets=_SECONDS, registry=self._registry)

    def _of_streams(self) -> None:
        """What goes to and fro between us and the proxies."""
        self.connected = self._gauge("pilot_xds", "Proxies connected over xDS.")
        self.pushes = self._counter("pilot_xds_pushes", "Responses sent, by type.", "type")
        self.sent_bytes = self._counter("pilot_xds_config_size_bytes", "Bytes sent, by type.", "type")
        self.rejects = self._counter(
            "pilot_total_xds_rejects", "Responses refused by proxies (NACK), by type.", "type"
        )
        self.expired = self._counter("pilot_xds_expired_nonce", "Answers to superseded responses.", "type")
        self.refused_streams = self._counter(
            "pilot_xds_refused_streams", "Streams ended by pilotd.", "reason"
        )
        self.translate_failures = self._counter(
            "pilot_translate_failures", "Proxies whose configuration could not be made; they keep the last."
        )
        self.rejected_patches = self._counter(
            "pilot_rejected_patches", "Patches of EnvoyFilters left out of a proxy's configuration."
        )

    def _of_times(self) -> None:
        self.convergence = self._histogram(
            "pilot_proxy_convergence_time", "From a change in the registry to a proxy's last ACK, seconds."
        )
        self.push_time = self._histogram("pilot_xds_push_time", "Making what one proxy should have, seconds.")
        self.snapshot_time = self._histogram("pilot_snapshot_build_time", "Building a snapshot, seconds.")
        self.send_time = self._histogram(
            "pilot_xds_send_time", "Handing one response to the transport, seconds."
        )

    def _of_contents(self) -> None:
        """What there is in the mesh."""
        self.services = self._gauge("pilot_services", "Services in the mesh.")
        self.virtual_services = self._gauge("pilot_virt_services", "VirtualServices in the mesh.")
        self.endpoints = self._gauge("pilot_endpoints", "Instances of services in the mesh.")
        self.gateway_conflicts = self._gauge(
            "pilot_conflict_gateway_server",
            "Servers of Gateways that lose a port or host to an older Gateway.",
        )

    def _of_the_registry(self) -> None:
        self.corrupt = self._gauge("pilot_registry_problems", "Values in the registry that cannot be used.")
        self.forged = self._counter(
            "pilot_registry_forged", "Values in the registry that are not as galleyd signed them.", "reason"
        )
        self.held = self._gauge("pilot_held_removals", "Keys whose removal is held back.")
        self.saved = self._gauge(
            "pilot_serving_saved", "1 while proxies get what was saved, because the registry cannot be read."
        )
        self.age = self._gauge(
            "mesh_config_age_seconds", "Since the registry was last known to be as seen, seconds."
        )
        self.changes = self._counter(
            "pilot_registry_events", "Changes read from the registry, by kind.", "type"
        )
        self.workloads = self._gauge(
            "pilot_registered_workloads", "Workload records that this process keeps."
        )
        self.registry_failures = self._counter("pilot_registry_write_failures", "Writes that failed.", "what")

    def sent(self, kind: str, size: int) -> None:
        """A response of this type, of `size` bytes, went out."""
        if kind not in self._sent:
            self._sent[kind] = self.pushes.labels(kind), self.sent_bytes.labels(kind)
        count, total = self._sent[kind]
        count.inc()
        total.inc(size)
