"""The fields of pods (Kubernetes 1.34, core/v1), as far down as templates and annotations of users reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from artemon.errors import Problem


def _list(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


METADATA_FIELDS: Final = frozenset({"annotations", "labels"})
"""What a template may say of a pod's metadata."""

POD_FIELDS: Final = _set(
    """activeDeadlineSeconds affinity automountServiceAccountToken containers dnsConfig dnsPolicy
    enableServiceLinks ephemeralContainers hostAliases hostIPC hostNetwork hostPID hostUsers hostname
    hostnameOverride imagePullSecrets initContainers nodeName nodeSelector os overhead preemptionPolicy
    priority priorityClassName readinessGates resourceClaims resources restartPolicy runtimeClassName
    schedulerName schedulingGates securityContext serviceAccount serviceAccountName setHostnameAsFQDN
    shareProcessNamespace subdomain terminationGracePeriodSeconds tolerations topologySpreadConstraints
    volumes"""
)
CONTAINER_FIELDS: Final = _set(
    """args command env envFrom image imagePullPolicy lifecycle livenessProbe name ports readinessProbe
    resizePolicy resources restartPolicy restartPolicyRules securityContext startupProbe stdin stdinOnce
    terminationMessagePath terminationMessagePolicy tty volumeDevices volumeMounts workingDir"""
)
CONTAINER_ORDER: Final = _list(
    """name image command args workingDir ports envFrom env resources resizePolicy restartPolicy
    restartPolicyRules volumeMounts volumeDevices livenessProbe readinessProbe startupProbe lifecycle
    terminationMessagePath terminationMessagePolicy imagePullPolicy securityContext stdin stdinOnce tty"""
)
"""The fields of a container as the API's own encoder orders them."""

VOLUME_FIELDS: Final = _set(
    """awsElasticBlockStore azureDisk azureFile cephfs cinder configMap csi downwardAPI emptyDir ephemeral
    fc flexVolume flocker gcePersistentDisk gitRepo glusterfs hostPath image iscsi name nfs
    persistentVolumeClaim photonPersistentDisk portworxVolume projected quobyte rbd scaleIO secret storageos
    vsphereVolume"""
)
MOUNT_FIELDS: Final = _set("mountPath mountPropagation name readOnly recursiveReadOnly subPath subPathExpr")
_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")


def unknown_keys(value: Mapping[str, Any], known: frozenset[str]) -> list[str]:
    """The keys of `value` that Kubernetes does not have."""
    return sorted(set(value) - known)


def unknown_fields(template: Mapping[str, Any], where: str) -> Iterator[Problem]:
    """What a part of a pod says that no pod has."""
    yield from _unknown(template, frozenset({"metadata", "spec"}), where)
    yield from _unknown(template.get("metadata"), METADATA_FIELDS, f"{where}.metadata")
    spec = template.get("spec")
    yield from _unknown(spec, POD_FIELDS, f"{where}.spec")
    for name in _CONTAINERS:
        for index, container in enumerate(_items(spec, name)):
            place = f"{where}.spec.{name}[{index}]"
            yield from _unknown(container, CONTAINER_FIELDS, place)
            for number, mount in enumerate(_items(container, "volumeMounts")):
                yield from _unknown(mount, MOUNT_FIELDS, f"{place}.volumeMounts[{number}]")
    for index, volume in enumerate(_items(spec, "volumes")):
        yield from _unknown(volume, VOLUME_FIELDS, f"{where}.spec.volumes[{index}]")


def _items(value: Any, name: str) -> list[Any]:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def _unknown(value: Any, known: frozenset[str], where: str) -> Iterator[Problem]:
    if value is None:
        return
    if not isinstance(value, Mapping):
        yield Problem(where, "must be a mapping")
        return
    for key in unknown_keys(value, known):
        yield Problem(f"{where}.{key}", "is not a field of Kubernetes")
