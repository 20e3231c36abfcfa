"""What pilotd counts, by Istio's names where it has one."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3, 5, 10, 20, 30)


class Metrics:
    """The metrics of one pilotd, in the given registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, labels, registry=registry)

        def histogram(name: str, text: str, *labels: str) -> Histogram:
            return Histogram(name, text, labels, buckets=_SECONDS, registry=registry)

        self.connected = gauge("pilot_xds", "Proxies connected over xDS.")
        self.pushes = counter("pilot_xds_pushes", "Responses sent, by type.", "type")
        self.sent_bytes = counter("pilot_xds_config_size_bytes", "Bytes sent, by type.", "type")
        self.rejects = counter(
            "pilot_total_xds_rejects", "Responses refused by proxies (NACK), by type.", "type"
        )
        self.expired = counter("pilot_xds_expired_nonce", "Answers to superseded responses.", "type")
        self.refused_streams = counter("pilot_xds_refused_streams", "Streams ended by pilotd.", "reason")
        self.convergence = histogram(
            "pilot_proxy_convergence_time", "From a change in the registry to a proxy's last ACK, seconds."
        )
        self.push_time = histogram("pilot_xds_push_time", "Making what one proxy should have, seconds.")
        self.snapshot_time = histogram("pilot_snapshot_build_time", "Building a snapshot, seconds.")
        self.send_time = histogram("pilot_xds_send_time", "Handing one response to the transport, seconds.")
        self.services = gauge("pilot_services", "Services in the mesh.")
        self.virtual_services = gauge("pilot_virt_services", "VirtualServices in the mesh.")
        self.endpoints = gauge("pilot_endpoints", "Instances of services in the mesh.")
        self.gateway_conflicts = gauge(
            "pilot_conflict_gateway_server",
            "Servers of Gateways that lose a port or host to an older Gateway.",
        )
        self.corrupt = gauge("pilot_registry_problems", "Values in the registry that cannot be used.")
        self.forged = counter(
            "pilot_registry_forged", "Values in the registry that are not as galleyd signed them.", "reason"
        )
        self.held = gauge("pilot_held_removals", "Keys whose removal is held back.")
        self.saved = gauge(
            "pilot_serving_saved", "1 while proxies get what was saved, because the registry cannot be read."
        )
        self.age = gauge(
            "mesh_config_age_seconds", "Since the registry was last known to be as seen, seconds."
        )
        self.changes = counter("pilot_registry_events", "Changes read from the registry, by kind.", "type")
        self.translate_failures = counter(
            "pilot_translate_failures", "Proxies whose configuration could not be made; they keep the last."
        )
        self.rejected_patches = counter(
            "pilot_rejected_patches", "Patches of EnvoyFilters left out of a proxy's configuration."
        )
        self._sent: dict[str, tuple[Counter, Counter]] = {}
        self.workloads = gauge("pilot_registered_workloads", "Workload records that this process keeps.")
        self.registry_failures = counter("pilot_registry_write_failures", "Writes that failed.", "what")

    def sent(self, kind: str, size: int) -> None:
        """A response of this type, of `size` bytes, went out."""
        if kind not in self._sent:
            self._sent[kind] = self.pushes.labels(kind), self.sent_bytes.labels(kind)
        count, total = self._sent[kind]
        count.inc()
        total.inc(size)
