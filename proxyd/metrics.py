"""What proxyd counts, under the names of Istio's agent where it has one."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class Metrics:
    """The metrics of one proxyd, in the registry given."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str) -> Counter:
            return Counter(f"istio_agent_{name}", text, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"istio_agent_{name}", text, registry=registry)

        self.restarts = counter("num_proxy_restarts", "How often Envoy ended and had to be started again.")
        self.connected = gauge("pilot_connected", "Whether a stream to pilotd is open (1) or not (0).")
        self.failures = counter("pilot_connection_failures", "Connections to pilotd that could not be made.")
        self.lost = counter("pilot_connection_terminations", "Streams to pilotd that ended.")
        self.envoy_streams = gauge("envoy_connected", "Whether Envoy's configuration stream is open.")
        self.requests = counter("xds_proxy_requests", "Discovery requests sent to pilotd.")
        self.responses = counter("xds_proxy_responses", "Discovery responses received from pilotd.")
        self.rejected = counter("xds_rejections", "Responses that Envoy refused.")
        self.confirmed = gauge(
            "view_confirmed_timestamp_seconds", "When pilotd last answered or was connected."
        )
        self.age = gauge("view_age_seconds", "How long pilotd has been silent; 0 while it is connected.")
        self.expiry = gauge("cert_expiry_seconds", "Time until the workload certificate expires.")
        self.saved = gauge("last_good_timestamp_seconds", "When the last-good configuration was saved.")
        self.secrets = counter("sds_pushes", "Secrets sent to Envoy.")
        self.names = gauge("dns_names", "Names of the mesh that are answered, short forms included.")
        self.dns = Counter(
            "istio_agent_dns_requests",
            "DNS queries, by who answered: mesh, forwarded (the machine's resolvers), failed (nobody).",
            ["answered"],
            registry=registry,
        )
