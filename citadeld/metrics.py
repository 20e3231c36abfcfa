"""citadeld's metrics, with the names that Istio's dashboards ask for."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

_COUNTS = {
    "citadel_server_csr_count": "Certificate requests received.",
    "citadel_server_success_cert_issuance_count": "Certificates issued.",
    "citadel_server_authentication_failure_count": "Calls whose caller could not be authenticated.",
    "citadel_server_csr_parsing_err_count": "Requests that are no certificate request.",
    "citadel_server_id_extraction_err_count": "Requests that ask for more than the caller is.",
    "citadel_server_csr_sign_err_count": "Requests that could not be signed.",
    "citadel_server_rate_limited_count": "Calls refused because the caller asks too often.",
}


class Metrics(Collector):
    """Counts and expiry times. Counts keep Istio's exact names, which lack the suffix `_total`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._values = dict.fromkeys(_COUNTS, 0)
        registry.register(self)
        self.root_expiry = _gauge(
            registry, "root_cert_expiry_timestamp", "When the root expires (Unix time)."
        )
        self.root_seconds = _gauge(registry, "root_cert_expiry_seconds", "Seconds until the root expires.")
        self.chain_expiry = _gauge(
            registry, "cert_chain_expiry_timestamp", "When the intermediate expires (Unix time)."
        )

        self.forged = Counter(
            "citadel_server_registry_forged",
            "Values under trust/ that citadeld did not write, by reason.",
            ["reason"],
            registry=registry,
        )

    def count(self, what: str) -> None:
        """One more of `citadel_server_<what>_count`."""
        self._values[f"citadel_server_{what}_count"] += 1

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        for name, value in self._values.items():
            metric = Metric(name, _COUNTS[name], "unknown")
            metric.add_sample(name, {}, value)
            yield metric


def _gauge(registry: CollectorRegistry, name: str, text: str) -> Gauge:
    return Gauge(f"citadel_server_{name}", text, registry=registry)
