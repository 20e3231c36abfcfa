"""Names that injection reads and writes: annotations, labels, containers (Istio's, byte for byte)."""

from __future__ import annotations

from typing import Any, Final

PROXY: Final = "istio-proxy"
INIT: Final = "istio-init"
VALIDATION: Final = "istio-validation"
AUTO_IMAGE: Final = "auto"

STATUS: Final = "sidecar.istio.io/status"
OVERRIDES: Final = "proxy.istio.io/overrides"
PROXY_CONFIG: Final = "proxy.istio.io/config"
TEMPLATES: Final = "inject.istio.io/templates"
INJECT: Final = "sidecar.istio.io/inject"
NATIVE: Final = "sidecar.istio.io/nativeSidecar"
BEFORE_PROXY: Final = "sidecar.istio.io/init-containers-before-proxy"
INTERCEPTION: Final = "sidecar.istio.io/interceptionMode"
STATUS_PORT: Final = "status.sidecar.istio.io/port"
INCLUDE_INBOUND: Final = "traffic.sidecar.istio.io/includeInboundPorts"
EXCLUDE_INBOUND: Final = "traffic.sidecar.istio.io/excludeInboundPorts"
REWRITE_PROBES: Final = "sidecar.istio.io/rewriteAppHTTPProbers"
MERGE_METRICS: Final = "prometheus.istio.io/merge-metrics"

REVISION: Final = "istio.io/rev"
NAMESPACE_INJECTION: Final = "istio-injection"
NETWORK: Final = "topology.istio.io/network"
WORKLOAD_NAME: Final = "service.istio.io/workload-name"

SYSTEM_NAMESPACES: Final = frozenset({"kube-system", "kube-public", "kube-node-lease", "local-path-storage"})
"""Namespaces that no injection ever touches."""

Pod = dict[str, Any]
"""A pod, or the part of one that a template adds: `metadata` and `spec` as JSON has them."""


def is_true(text: object) -> bool:
    """Whether a label or annotation says yes (the words of YAML 1.1, as Istio takes them)."""
    return isinstance(text, str) and text.lower() in {"y", "yes", "true", "on"}


def named(items: Any, name: str) -> dict[str, Any] | None:
    """The container (or volume, or variable) of that name."""
    return next((item for item in items or () if item.get("name") == name), None)
