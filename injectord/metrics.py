"""What injectord counts, under Istio's names."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram


class Counts:
    """Requests by what became of them, and how long they took."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(what: str, text: str) -> Counter:
            return Counter(f"sidecar_injection_{what}", text, registry=registry)

        self.requests = counter("requests", "Requests to inject a proxy.")
        self.outcomes = {
            "success": counter("success", "Pods that got a proxy."),
            "failure": counter("failure", "Requests that were refused or could not be read."),
            "skip": counter("skip", "Pods that were left as they are."),
        }
        self.seconds = Histogram(
            "sidecar_injection_time_seconds", "How long an answer took.", registry=registry
        )
