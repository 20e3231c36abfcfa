"""The template `sidecar`: a proxy beside the application that its connections are redirected to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from artemon.inject import words
from artemon.inject.interception import PROXY_USER, cni_annotations, init_container
from artemon.inject.parts import (
    application_names,
    arguments,
    from_limit,
    identity_variables,
    place_variables,
    readiness,
    resources,
    startup,
    variable,
    with_pull_policy,
)
from artemon.inject.request import Request
from artemon.inject.volumes import mounts, volumes

_DEFAULTS = ("kubectl.kubernetes.io/default-logs-container", "kubectl.kubernetes.io/default-container")
_NAMESPACE = '{{ valueOrDefault .DeploymentMeta.Namespace "default" }}'


def sidecar(request: Request) -> words.Pod:
    """What a pod gets: metadata, init containers, the proxy and its volumes."""
    proxy = _proxy(request)
    init = [init_container(request)] if request.interception != "NONE" else []
    spec: dict[str, Any] = {
        "initContainers": [*init, proxy] if request.native else init,
        "containers": [] if request.native else [proxy],
        "volumes": list(volumes(request, sidecar=True)),
    }
    searches = [
        name.replace(_NAMESPACE, request.owner.namespace or "default")
        for name in request.values.pod_dns_search_namespaces
    ]
    if searches:
        spec["dnsConfig"] = {"searches": searches}
    return {"metadata": _metadata(request), "spec": {**spec, **pull_secrets(request)}}


def pull_secrets(request: Request) -> dict[str, Any]:
    """The secrets of the values that images are pulled with, if there are any."""
    names = request.values.image_pull_secrets
    return {"imagePullSecrets": [{"name": name} for name in names]} if names else {}


def _metadata(request: Request) -> dict[str, Any]:
    labels = {"security.istio.io/tlsMode": request.labels.get("security.istio.io/tlsMode") or "istio"}
    labels.update(request.canonical_labels())
    annotations = {words.REVISION: request.config.revision or "default"}
    if request.applications:
        first = request.applications[0]["name"]
        annotations |= {name: first for name in _DEFAULTS if name not in request.annotations}
    if request.config.cni.enabled:
        annotations.update(cni_annotations(request))
    return {"labels": labels, "annotations": annotations}


def _proxy(request: Request) -> dict[str, Any]:
    path = request.sidecar.outlier_log_path
    container: dict[str, Any] = {
        "name": words.PROXY,
        "image": request.image,
        "ports": [{"containerPort": 15090, "name": "http-envoy-prom", "protocol": "TCP"}],
        "args": [*arguments(request, "sidecar"), *([f"--outlierLogPath={path}"] if path else [])],
        **_lifecycle(request),
        "env": list(_environment(request)),
        **_probes(request),
        "securityContext": security(request),
        "resources": resources(request),
        "volumeMounts": list(mounts(request, sidecar=True)),
    }
    if request.native:
        container["restartPolicy"] = "Always"
    return with_pull_policy(request, container)


def _lifecycle(request: Request) -> dict[str, Any]:
    """When a native sidecar's pod stops it begins to drain; other sidecars may hold the application back."""
    command = ["pilot-agent", "request", f"--debug-port={request.status_port}", "POST", "drain"]
    if request.sidecar.lifecycle:
        return {"lifecycle": request.sidecar.lifecycle}
    if request.native:
        return {"lifecycle": {"preStop": {"exec": {"command": command}}}}
    if request.holds:
        return {"lifecycle": {"postStart": {"exec": {"command": ["pilot-agent", "wait"]}}}}
    return {}


def _environment(request: Request) -> Iterator[dict[str, Any]]:
    if request.mesh.inbound_traffic_policy.mode == "LOCALHOST":
        yield variable("REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION", "true")
    yield from identity_variables(request)
    yield application_names(request)
    yield from_limit("GOMEMLIMIT", "limits.memory")
    yield from place_variables(request, request.interception)


def _probes(request: Request) -> dict[str, Any]:
    if request.status_port == "0":
        return {}
    held = {"startupProbe": startup(request)} if request.sidecar.startup_probe.enabled else {}
    return {"readinessProbe": readiness(request), **held}


def security(request: Request) -> dict[str, Any]:
    """The proxy's rights: none, but for TPROXY and ports below 1024."""
    transparent = request.interception == "TPROXY"
    low_ports = request.switch("sidecar.istio.io/capNetBindService", request.sidecar.cap_net_bind_service)
    added = [name for name, asked in (("NET_ADMIN", transparent), ("NET_BIND_SERVICE", low_ports)) if asked]
    dumps = request.switch("sidecar.istio.io/enableCoreDump", request.sidecar.enable_core_dump)
    context: dict[str, Any] = {
        "allowPrivilegeEscalation": request.sidecar.privileged,
        "capabilities": {"add": added, "drop": ["ALL"]} if added else {"drop": ["ALL"]},
        "privileged": request.sidecar.privileged,
        "readOnlyRootFilesystem": not dumps,
        "runAsGroup": PROXY_USER,
        "runAsNonRoot": not added,
        "runAsUser": 0 if added else PROXY_USER,
    }
    profile = request.sidecar.seccomp_profile
    return {**context, "seccompProfile": profile} if profile else context
