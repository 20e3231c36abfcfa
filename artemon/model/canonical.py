"""The canonical service and revision of a workload (Istio's labels, then Kubernetes' and the usual)."""

from __future__ import annotations

from collections.abc import Mapping

_NAMES = ("service.istio.io/canonical-name", "app.kubernetes.io/name", "app")
_REVISIONS = ("service.istio.io/canonical-revision", "app.kubernetes.io/version", "version")
LATEST = "latest"


def canonical_name(workload: str, labels: Mapping[str, str]) -> str:
    """What the workload is part of; itself unless its labels say otherwise."""
    return next((labels[name] for name in _NAMES if labels.get(name)), workload)


def canonical_revision(labels: Mapping[str, str]) -> str:
    """Which revision of it; `latest` unless its labels say otherwise."""
    return next((labels[name] for name in _REVISIONS if labels.get(name)), LATEST)
