"""The template `gateway`: a pod that is a proxy and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from artemon.inject import words
from artemon.inject.interception import PROXY_USER
from artemon.inject.parts import (
    application_names,
    arguments,
    from_limit,
    identity_variables,
    place_variables,
    readiness,
    with_pull_policy,
)
from artemon.inject.request import Request
from artemon.inject.sidecar import pull_secrets
from artemon.inject.volumes import mounts, volumes


def gateway(request: Request) -> words.Pod:
    """What a gateway's pod gets. It may listen on ports below 1024 without rights."""
    annotations = {words.REVISION: request.config.revision or "default"}
    if len(request.applications) == 1:
        first = request.applications[0]["name"]
        annotations |= {
            "kubectl.kubernetes.io/default-logs-container": first,
            "kubectl.kubernetes.io/default-container": first,
        }
    low_ports = {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}
    return {
        "metadata": {"labels": dict(request.canonical_labels()), "annotations": annotations},
        "spec": {
            "containers": [_proxy(request)],
            "volumes": list(volumes(request, sidecar=False)),
            "securityContext": {"sysctls": [low_ports]},
            **pull_secrets(request),
        },
    }


def _proxy(request: Request) -> dict[str, Any]:
    lifecycle = request.sidecar.lifecycle
    container = {
        "name": words.PROXY,
        "image": request.image,
        "ports": [{"containerPort": 15090, "name": "http-envoy-prom", "protocol": "TCP"}],
        "args": arguments(request, "router"),
        **({"lifecycle": lifecycle} if lifecycle else {}),
        "env": list(_environment(request)),
        "readinessProbe": readiness(request),
        "securityContext": {"runAsGroup": PROXY_USER, "runAsUser": PROXY_USER},
        "volumeMounts": list(mounts(request, sidecar=False)),
    }
    return with_pull_policy(request, container)


def _environment(request: Request) -> Iterator[dict[str, Any]]:
    yield from identity_variables(request)
    yield from_limit("GOMEMLIMIT", "limits.memory")
    yield application_names(request)
    yield from place_variables(request, request.proxy.interception_mode)
