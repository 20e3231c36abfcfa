"""Where the pod is inside of a workload of Kubernetes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_TEMPLATE: Final = ("spec", "template")
PODS: Final[Mapping[str, tuple[str, ...]]] = {
    "Pod": (),
    "Deployment": _TEMPLATE,
    "StatefulSet": _TEMPLATE,
    "DaemonSet": _TEMPLATE,
    "ReplicaSet": _TEMPLATE,
    "ReplicationController": _TEMPLATE,
    "Job": _TEMPLATE,
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "DeploymentConfig": _TEMPLATE,
    "Rollout": _TEMPLATE,
}
"""Kind -> the steps to the pod (or its template) inside."""

_GROUPS: Final = frozenset({"", "apps", "batch", "extensions", "apps.openshift.io", "argoproj.io"})


def pod_path(obj: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The steps to the pod of `obj`; None for an object that makes no pods."""
    kind, version = obj.get("kind"), obj.get("apiVersion")
    if not isinstance(kind, str) or not isinstance(version, str):
        return None
    group = version.rpartition("/")[0]
    return PODS.get(kind) if group in _GROUPS else None


def pod_in(obj: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """The pod at `path`; None when it is not there."""
    value: Any = obj
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value
