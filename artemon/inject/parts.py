"""What the proxies of sidecars and gateways have in common.

Arguments, environment, volumes, probes, resources.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from artemon.inject import words
from artemon.inject.annotations import parsed
from artemon.inject.proxy import as_json
from artemon.inject.quantity import canonical
from artemon.inject.request import Request

Variable = dict[str, Any]
_CONTAINER_PORT = ("name", "hostPort", "containerPort", "protocol", "hostIP")
_AMOUNTS = {
    "requests": {"cpu": "sidecar.istio.io/proxyCPU", "memory": "sidecar.istio.io/proxyMemory"},
    "limits": {"cpu": "sidecar.istio.io/proxyCPULimit", "memory": "sidecar.istio.io/proxyMemoryLimit"},
}


def compact(value: Any) -> str:
    """JSON without spaces."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def arguments(request: Request, role: str) -> list[str]:
    """The agent's command line. role: `sidecar` or `router`."""
    out = [
        "proxy",
        role,
        "--domain",
        f"$(POD_NAMESPACE).svc.{request.sidecar.cluster_domain}",
        f"--proxyLogLevel={request.asked('sidecar.istio.io/logLevel', request.sidecar.log_level)}",
        "--proxyComponentLogLevel="
        + request.asked("sidecar.istio.io/componentLogLevel", request.sidecar.component_log_level),
        f"--log_output_level={agent_level(request)}",
    ]
    out += [f"--stsPort={request.values.sts.service_port}"] if request.values.sts.service_port else []
    out += ["--log_as_json"] if request.values.log_as_json else []
    return out


def agent_level(request: Request) -> str:
    """The log level of everything but Envoy."""
    return request.asked("sidecar.istio.io/agentLogLevel", request.values.logging.level)


def from_field(name: str, path: str) -> Variable:
    """A variable that Kubernetes fills in from the pod."""
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def from_limit(name: str, resource: str) -> Variable:
    """A variable that Kubernetes fills in from the container's limits."""
    return {"name": name, "valueFrom": {"resourceFieldRef": {"divisor": "1", "resource": resource}}}


def variable(name: str, value: str) -> Variable:
    """A variable; one without a value has only its name."""
    return {"name": name, "value": value} if value else {"name": name}


def identity_variables(request: Request) -> Iterator[Variable]:
    """Where certificates come from, and who this is."""
    yield variable("PILOT_CERT_PROVIDER", request.values.pilot_cert_provider)
    revision = f"-{request.config.revision}" if request.config.revision else ""
    address = f"istiod{revision}.{request.values.istio_namespace}.svc:15012"
    yield variable("CA_ADDR", request.values.ca_address or address)
    yield from_field("POD_NAME", "metadata.name")
    yield from_field("POD_NAMESPACE", "metadata.namespace")
    yield from_field("INSTANCE_IP", "status.podIP")
    yield from_field("SERVICE_ACCOUNT", "spec.serviceAccountName")
    yield from_field("HOST_IP", "status.hostIP")
    yield from_limit("ISTIO_CPU_LIMIT", "limits.cpu")
    yield variable("PROXY_CONFIG", as_json(request.proxy) + "\n")
    yield variable("ISTIO_META_POD_PORTS", _ports(request))


def _ports(request: Request) -> str:
    """The ports of all containers as a JSON list, one on a line."""
    found = [
        compact({key: port[key] for key in _CONTAINER_PORT if port.get(key)})
        for container in request.spec.get("containers") or ()
        for port in container.get("ports") or ()
    ]
    return "[\n" + "".join(f"    {',' if index else ''}{port}\n" for index, port in enumerate(found)) + "]"


def application_names(request: Request) -> Variable:
    """The names of the containers that are not the proxy."""
    return variable("ISTIO_META_APP_CONTAINERS", ",".join(one["name"] for one in request.applications))


def place_variables(request: Request, mode: str) -> Iterator[Variable]:
    """Where the proxy runs and for whom."""
    yield variable("ISTIO_META_CLUSTER_ID", request.values.multi_cluster.cluster_name or "Kubernetes")
    yield from_field("ISTIO_META_NODE_NAME", "spec.nodeName")
    yield variable("ISTIO_META_INTERCEPTION_MODE", mode)
    owner = request.owner
    if owner.name:
        yield variable("ISTIO_META_WORKLOAD_NAME", request.labels.get(words.WORKLOAD_NAME) or owner.name)
    if owner.name and owner.api_version:
        yield variable("ISTIO_META_OWNER", owner.uri)
    if "sidecar.istio.io/bootstrapOverride" in request.annotations:
        yield variable("ISTIO_BOOTSTRAP_OVERRIDE", "/etc/istio/custom-bootstrap/custom_bootstrap.json")
    if request.values.mesh_id or request.trust_domain:
        yield variable("ISTIO_META_MESH_ID", request.values.mesh_id or request.trust_domain)
    if request.trust_domain:
        yield variable("TRUST_DOMAIN", request.trust_domain)
    yield from metadata_variables(request)


def metadata_variables(request: Request) -> list[Variable]:
    """`proxyMetadata` of the proxy's settings."""
    return [variable(name, value) for name, value in sorted(request.proxy.proxy_metadata.items())]


def resources(request: Request) -> dict[str, Any]:
    """Requests and limits: those of the pod's annotations alone when there is one, else the values'."""
    asked = {
        part: {name: request.annotations[key] for name, key in keys.items() if key in request.annotations}
        for part, keys in _AMOUNTS.items()
    }
    chosen: Mapping[str, Any] = asked if any(asked.values()) else request.sidecar.resources
    found = {
        part: {name: canonical(amount) for name, amount in sorted(amounts.items())}
        for part, amounts in chosen.items()
        if isinstance(amounts, Mapping)
    }
    return {part: amounts for part, amounts in found.items() if amounts}


def readiness(request: Request) -> dict[str, Any]:
    """The proxy's readiness probe, timed by annotations or values."""
    sidecar = request.sidecar
    times = {
        "initialDelaySeconds": sidecar.readiness_initial_delay_seconds,
        "periodSeconds": sidecar.readiness_period_seconds,
        "failureThreshold": sidecar.readiness_failure_threshold,
    }
    asked = {
        name: int(request.asked(f"readiness.status.sidecar.istio.io/{name}", default))
        for name, default in times.items()
    }
    return {**_probe(), **{name: value for name, value in asked.items() if value}}


def startup(request: Request) -> dict[str, Any]:
    """The proxy's startup probe: it holds native sidecars' successors back."""
    return {
        **_probe(),
        "periodSeconds": 1,
        "failureThreshold": request.sidecar.startup_probe.failure_threshold,
    }


def _probe() -> dict[str, Any]:
    return {"httpGet": {"path": "/healthz/ready", "port": 15021}, "timeoutSeconds": 3}


def with_pull_policy(request: Request, container: dict[str, Any]) -> dict[str, Any]:
    """`container` with the pull policy of the values, if there is one."""
    policy = request.values.image_pull_policy
    return {**container, "imagePullPolicy": policy} if policy else container


def user_parts(request: Request, annotation: str) -> list[dict[str, Any]]:
    """Volumes or mounts that the pod's annotation adds, each with its name."""
    text = request.annotations.get(annotation)
    return (
        [{**part, "name": name} for name, part in parsed(text).items() if isinstance(part, dict)]
        if text
        else []
    )
