"""Who a pod belongs to: the workload that people know, not the ReplicaSet or Job between."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_CRON = re.compile(r"(.+)-[0-9]{8,10}")


@dataclass(frozen=True, slots=True)
class Owner:
    """A workload. namespace: where its pods run; empty when the object does not say."""

    name: str
    kind: str
    api_version: str
    namespace: str = ""

    @property
    def uri(self) -> str:
        """`kubernetes://apis/<version>/namespaces/<namespace>/<plural>/<name>`."""
        place = f"{self.api_version}/namespaces/{self.namespace or 'default'}"
        return f"kubernetes://apis/{place}/{self.kind.lower()}s/{self.name}"


def owner_of_pod(metadata: Mapping[str, Any], namespace: str) -> Owner:
    """The owner of a pod: itself, or what its controller stands for.

    A ReplicaSet whose name ends with the pod's template hash stands for its Deployment, a Job with a time
    in its name for its CronJob.
    """
    name = metadata.get("name") or metadata.get("generateName", "").removesuffix("-")
    itself = Owner(name, "Pod", "v1", namespace)
    if not metadata.get("generateName"):
        return itself
    references = metadata.get("ownerReferences") or ()
    controller = next((reference for reference in references if reference.get("controller")), None)
    if controller is None:
        return itself
    found = Owner(
        controller.get("name", ""), controller.get("kind", ""), controller.get("apiVersion", ""), namespace
    )
    return _behind(found, metadata.get("labels") or {})


def _behind(owner: Owner, labels: Mapping[str, str]) -> Owner:
    if owner.kind == "ReplicaSet":
        for label, kind, version in (
            ("pod-template-hash", "Deployment", owner.api_version),
            ("rollouts-pod-template-hash", "Rollout", "argoproj.io/v1alpha1"),
        ):
            suffix = f"-{labels.get(label)}"
            if labels.get(label) and owner.name.endswith(suffix):
                return Owner(owner.name.removesuffix(suffix), kind, version, owner.namespace)
    if owner.kind == "ReplicationController" and labels.get("deploymentconfig"):
        return Owner(labels["deploymentconfig"], "DeploymentConfig", "apps.openshift.io/v1", owner.namespace)
    if owner.kind == "Job" and (found := _CRON.fullmatch(owner.name)):
        return Owner(found.group(1), "CronJob", "batch/v1", owner.namespace)
    return owner
