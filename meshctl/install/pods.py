"""What the pods of the daemons have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from artemon.pki.spiffe import SYSTEM_NAMESPACE
from meshctl.install.values import Values

Object = dict[str, Any]
USER = 1337
"""Whom the image's processes run as."""
HTTP_PORT = 8080
"""Of every daemon: /healthz, /readyz, /metrics."""
STATE, REGISTRY = "/var/lib/artemon", "/etc/artemon/registry"
TOKEN, ROOTS = "/var/run/secrets/tokens", "/var/run/secrets/istio"
AUDIENCE = "istio-ca"


@dataclass(frozen=True, slots=True)
class Daemon:
    """One daemon.

    ports: name to number; webhook: which of them the API server asks, as 443. joins: it gets its identity
    from citadeld. storage: path of the value of its volume's size; empty: its state may be lost with the pod.
    registry: it reads or writes the registry. secrets: Secrets that it mounts, by name (it may be absent) or
    by the path of the value that names it, and where. config: a ConfigMap that it mounts.
    """

    name: str
    arguments: Sequence[str]
    ports: dict[str, int]
    webhook: str = ""
    joins: bool = True
    storage: str = ""
    registry: bool = True
    secrets: dict[str, str] = field(default_factory=dict)
    config: str = ""


def image(values: Values) -> str:
    """The image of everything."""
    return f"{values.get('global.hub')}/{values.get('global.proxy.image')}:{values.get('global.tag')}"


def labels(name: str) -> dict[str, str]:
    """What the objects of one daemon are found by; its pods never ask for a proxy."""
    return {"app": name, "app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "artemon"}


def metadata(name: str, namespace: str = SYSTEM_NAMESPACE, *, app: str = "") -> Object:
    """Of an object of the daemon `app`, by default of the same name."""
    return {"name": name, "namespace": namespace, "labels": labels(app or name)}


def template(daemon: Daemon, values: Values) -> Object:
    """The pod. It has no rights on its node, and writes nowhere but into its volumes."""
    spec: Object = {
        "serviceAccountName": daemon.name,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "imagePullSecrets": values.get("imagePullSecrets"),
        "containers": [_container(daemon, values)],
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"app": daemon.name}},
            }
        ],
        "volumes": _volumes(daemon, values),
    }
    marks = {**labels(daemon.name), "sidecar.istio.io/inject": "false"}
    scrape = {"prometheus.io/scrape": "true", "prometheus.io/port": str(HTTP_PORT)}
    return {"metadata": {"labels": marks, "annotations": scrape}, "spec": spec}


def _container(daemon: Daemon, values: Values) -> Object:
    ports = {"http-monitoring": HTTP_PORT, **daemon.ports}
    return {
        "name": daemon.name,
        "image": image(values),
        "imagePullPolicy": values.get("global.imagePullPolicy"),
        "command": [daemon.name],
        "args": [f"--http=0.0.0.0:{HTTP_PORT}", *_common(daemon, values), *daemon.arguments],
        "ports": [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in ports.items()],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": HTTP_PORT}, "periodSeconds": 5},
        "livenessProbe": {
            "httpGet": {"path": "/healthz", "port": HTTP_PORT},
            "periodSeconds": 10,
            "failureThreshold": 6,
        },
        "resources": values.get(f"{daemon.name}.resources"),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "state", "mountPath": STATE},
            {"name": "run", "mountPath": "/run/artemon"},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
            *([{"name": "registry", "mountPath": REGISTRY, "readOnly": True}] if daemon.registry else []),
            *([{"name": "config", "mountPath": "/etc/artemon/config"}] if daemon.config else []),
            *(
                {"name": f"secret-{number}", "mountPath": place, "readOnly": True}
                for number, place in enumerate(daemon.secrets.values())
            ),
            *(
                [
                    {"name": "istio-token", "mountPath": TOKEN, "readOnly": True},
                    {"name": "istio-ca-root-cert", "mountPath": ROOTS, "readOnly": True},
                ]
                if daemon.joins
                else []
            ),
        ],
    }


def _common(daemon: Daemon, values: Values) -> list[str]:
    """Whom it asks for its identity, and where it keeps it."""
    found = [f"--trust-domain={values.get('global.trustDomain')}"]
    if daemon.registry:
        found.append(f"--registry={values.get('registry.url')}")
    if daemon.joins:
        found += [
            f"--citadeld=citadeld.{SYSTEM_NAMESPACE}.svc:15013",
            f"--attest-token-file={TOKEN}/istio-token",
            f"--ca-pin={ROOTS}/root-cert.pem",
            f"--identity-dir={STATE}/identity",
        ]
    return found


def _volumes(daemon: Daemon, values: Values) -> list[Object]:
    token = {"audience": AUDIENCE, "expirationSeconds": 43200, "path": "istio-token"}
    volumes: list[Object] = [] if daemon.storage else [{"name": "state", "emptyDir": {}}]
    volumes += [{"name": "run", "emptyDir": {"medium": "Memory"}}, {"name": "tmp", "emptyDir": {}}]
    if daemon.registry:
        secret = {"secretName": values.get("registry.secret"), "optional": True, "defaultMode": 0o440}
        volumes.append({"name": "registry", "secret": secret})
    if daemon.config:
        volumes.append({"name": "config", "configMap": {"name": daemon.config}})
    for number, path in enumerate(daemon.secrets):
        name = values.get(path) if "." in path else path
        optional = "." not in path
        secret = {"secretName": name, "optional": optional, "defaultMode": 0o440}
        volumes.append({"name": f"secret-{number}", "secret": secret})
    if daemon.joins:
        volumes.append(
            {"name": "istio-token", "projected": {"sources": [{"serviceAccountToken": token}]}},
        )
        volumes.append({"name": "istio-ca-root-cert", "configMap": {"name": "istio-ca-root-cert"}})
    return volumes
