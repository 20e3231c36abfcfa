"""Kubernetes' objects: namespaces, pods, ports of services, annotations."""

from __future__ import annotations

import re
from collections.abc import Iterator

from artemon.analysis.images import enabled_by_default
from artemon.analysis.material import Material
from artemon.analysis.things import (
    Finding,
    Findings,
    Object,
    Thing,
    bracketed,
    labels_of,
    mapping,
    mappings,
    text,
)
from artemon.model.selector import matches

SYSTEM = frozenset({"kube-system", "kube-public", "kube-node-lease", "local-path-storage", "istio-system",
                    "artemon-system"})  # fmt: skip
_PROXY = "istio-proxy"
_MANAGED = "gateway.istio.io/managed"
_PORT = re.compile(
    r"(?:http|http2|https|grpc|grpc-web|tcp|tls|udp|mongo|mysql|redis|hbone|auto|thrift)(?:-.*)?", re.ASCII
)
_UID = 1337


def namespaces(material: Material) -> Findings:
    """Those that get no sidecars (IST0102) or get them unasked (IST0148), and those told twice (IST0123)."""
    everywhere = enabled_by_default(material)
    for one in material.of_platform("Namespace"):
        old, rev = one.labels.get("istio-injection"), one.labels.get("istio.io/rev")
        if one.name in SYSTEM or one.labels.get("istio.io/dataplane-mode") == "ambient":
            continue
        if old and rev:
            message = (
                "The namespace has more than one type of injection labels [istio-injection "
                "istio.io/rev], which "
                "may lead to undefined behavior. Make sure only one injection label exists."
            )
            yield Finding("IST0123", one, "metadata.labels", message)
        elif not old and not rev and everywhere:
            message = (
                "is enabled for Istio injection, as Istio is installed with enableNamespacesByDefault as "
                "true."
            )
            yield Finding("IST0148", one, "metadata.labels", message)
        elif not old and not rev:
            message = (
                "The namespace is not enabled for Istio injection. Run 'kubectl label namespace "
                f"{one.name} istio-injection=enabled' to enable it, or 'kubectl label namespace {one.name} "
                "istio-injection=disabled' to explicitly mark it as not needing injection."
            )
            yield Finding("IST0102", one, "metadata.labels", message)


def pods(material: Material) -> Findings:
    """Pods without a proxy where there should be one (IST0103), and with the proxy's user (IST0144)."""
    everywhere = enabled_by_default(material)
    injected = {one.name for one in material.of_platform("Namespace") if _is_injected(one, everywhere)}
    for thing, pod in material.pods:
        spec = mapping(pod.get("spec"))
        several = [*mappings(spec.get("containers")), *mappings(spec.get("initContainers"))]
        containers = [one for _, one in several]
        names = {text(one.get("name")) for one in containers}
        meta = mapping(pod.get("metadata"))
        switches = {**labels_of(meta.get("annotations")), **labels_of(meta.get("labels"))}
        off = switches.get("sidecar.istio.io/inject") == "false" or spec.get("hostNetwork")
        if thing.kind == "Pod" and thing.namespace in injected and not off and _PROXY not in names:
            message = (
                f"The pod {thing.full} is missing the Istio proxy. This can often be resolved by "
                "restarting or "
                "redeploying the workload."
            )
            yield Finding("IST0103", thing, "spec.containers", message)
        users = [mapping(spec.get("securityContext")).get("runAsUser")]
        users += [
            mapping(one.get("securityContext")).get("runAsUser")
            for one in containers
            if one.get("name") not in (_PROXY, "istio-init", "istio-validation", "enable-core-dump")
        ]
        if _UID in users:
            message = "User ID (UID) 1337 is reserved for the sidecar proxy."
            yield Finding("IST0144", thing, "spec", message)


def _is_injected(namespace: Thing, everywhere: bool) -> bool:
    old, rev = namespace.labels.get("istio-injection"), namespace.labels.get("istio.io/rev")
    if namespace.name in SYSTEM or (old and rev):
        return False
    return old == "enabled" or bool(rev) or (everywhere and not old)


def ports(material: Material) -> Findings:
    """Names that tell no protocol (IST0118), and ports of names elsewhere (IST0150)."""
    for one in material.of_platform("Service"):
        outside = one.spec.get("type") == "ExternalName"
        if one.namespace in SYSTEM or _MANAGED in one.labels:
            continue
        for index, port in mappings(one.spec.get("ports")):
            name, path = text(port.get("name")), f"spec.ports[{index}].name"
            if outside and (not _PORT.fullmatch(name) or name.partition("-")[0] == "tcp"):
                message = (
                    "Port name for ExternalName service is invalid. Proxy may prevent tcp named ports and "
                    "unmatched traffic for ports serving TCP protocol from being forwarded correctly"
                )
                yield Finding("IST0150", one, path, message)
            elif not outside and not port.get("appProtocol") and not _PORT.fullmatch(name):
                message = (
                    f"Port name {name} (port: {port.get('port')}, targetPort: {port.get('targetPort', 0)}) "
                    "doesn't follow the naming convention of Istio port."
                )
                yield Finding("IST0118", one, path, message)


def deployments(material: Material) -> Findings:
    """Several Services before one Deployment: one port with several protocols (IST0116), one target port
    with several numbers (IST0137)."""
    for thing in material.of_platform("Deployment"):
        labels = labels_of(mapping(mapping(thing.spec.get("template")).get("metadata")).get("labels"))
        if thing.resource in material.outside:
            continue
        services = [
            one for one in material.of_platform("Service")
            if one.namespace == thing.namespace and one.spec.get("selector")
            and matches(labels_of(one.spec.get("selector")), labels)
        ]  # fmt: skip
        yield from _protocols(thing, services)
        yield from _targets(thing, services)


def _served(services: list[Thing]) -> Iterator[tuple[Thing, Object]]:
    yield from ((one, port) for one in services for _, port in mappings(one.spec.get("ports")))


def _protocols(thing: Thing, services: list[Thing]) -> Findings:
    known: dict[str, dict[str, set[str]]] = {}
    for one, port in _served(services):
        found = known.setdefault(text(port.get("port")), {})
        found.setdefault(text(port.get("protocol")) or "TCP", set()).add(one.name)
    for number, by_protocol in known.items():
        if len(by_protocol) > 1:
            names = sorted({name for many in by_protocol.values() for name in many})
            message = (
                f"This deployment {thing.full} is associated with multiple services using port {number} but "
                f"different protocols: {bracketed(names)}"
            )
            yield Finding("IST0116", thing, "spec.template", message)


def _targets(thing: Thing, services: list[Thing]) -> Findings:
    known: dict[str, dict[str, set[str]]] = {}
    for one, port in _served(services):
        if port.get("targetPort") is not None:
            known.setdefault(text(port["targetPort"]), {}).setdefault(text(port.get("port")), set()).add(
                one.name
            )
    for target, by_number in known.items():
        names = sorted({name for many in by_number.values() for name in many})
        if len(by_number) > 1 and len(names) > 1:
            message = (
                f"This deployment {thing.full} is associated with multiple services {bracketed(names)} using "
                f'targetPort "{target}" but different ports: {bracketed(sorted(by_number))}.'
            )
            yield Finding("IST0137", thing, "spec.template", message)


ANALYZERS = (namespaces, pods, ports, deployments)
