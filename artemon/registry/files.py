"""A mesh from files alone: Istio's kinds, and Kubernetes objects as the content of its registry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from artemon.errors import Problem, Refused
from artemon.model.decode import decode, load_json, subject_of
from artemon.model.hosts import DEFAULT_DOMAIN
from artemon.model.mesh_config import MeshConfig
from artemon.model.proxy import Proxy, ProxyType, WorkloadPort
from artemon.model.service import Protocol
from artemon.registry import kubernetes
from artemon.snapshot.build import build
from artemon.snapshot.changes import MESH, Change, Upsert
from artemon.snapshot.snapshot import Snapshot
from artemon.snapshot.world import World

LOCAL_ADDRESS = "1.1.1.1"
"""The address of a proxy whose file names none."""


def snapshot_of(
    objects: Iterable[Mapping[str, Any]], mesh: MeshConfig, *, domain: str = DEFAULT_DOMAIN
) -> Snapshot:
    """The mesh that `objects` make. Raises Refused with all problems of all objects that cannot be read."""
    istio: list[Mapping[str, Any]] = []
    registry: list[Mapping[str, Any]] = []
    for one in objects:
        (registry if one.get("kind") in kubernetes.KINDS else istio).append(one)
    problems: list[Problem] = []
    changes: list[Change] = [Upsert(MESH, mesh)]
    for one in istio:
        try:
            resource = decode(one)
        except Refused as refusal:
            problems += _placed(refusal, subject_of(one))
        else:
            changes.append(
                Upsert(f"{resource.kind.unique}/{resource.meta.namespace}/{resource.meta.name}", resource)
            )
    try:
        changes += [Upsert(source.id, source) for source in kubernetes.sources(registry, mesh, domain)]
        changes += [Upsert(key, pod) for key, pod in kubernetes.workloads(registry)]
    except Refused as refusal:
        problems += refusal.problems
    if problems:
        raise Refused(problems)
    world = World(domain=domain)
    spaces = (one["metadata"] for one in registry if one["kind"] == "Namespace")
    world.namespaces = {str(meta["name"]): meta.get("labels") or {} for meta in spaces}
    world.apply(changes)
    bad = [Problem(key, str(one), one.level) for key, many in sorted(world.problems.items()) for one in many]
    if any(one.level == "error" for one in bad):
        raise Refused(bad)
    return build(world)


def _placed(refusal: Refused, subject: str) -> list[Problem]:
    place = refusal.subject or subject
    return [Problem(f"{place}: {p.path}".rstrip(": "), p.message) for p in refusal.problems]


def read_proxy(fields: Mapping[str, Any], *, domain: str = DEFAULT_DOMAIN) -> Proxy:
    """The proxy that a file describes: `type`, `namespace`, `name`, `serviceAccount`, `labels`,
    `ipAddresses`, `locality`, `network` and `metadata` (node metadata; `INTERCEPTION_MODE: NONE`,
    `HTTP_PROXY_PORT`, `ARTEMON_PORTS` count)."""
    known = {"type", "namespace", "name", "serviceAccount", "labels", "ipAddresses", "metadata", "clusterID"}
    known |= {"locality", "network"}
    problems = [Problem(name, "is not a field of a proxy") for name in fields if name not in known]
    kind = fields.get("type", "sidecar")
    if kind not in {one.value for one in ProxyType}:
        problems.append(Problem("type", f'"{kind}" must be sidecar or router'))
    if problems:
        raise Refused(problems, "proxy")
    namespace = str(fields.get("namespace") or "default")
    name = str(fields.get("name") or kind)
    addresses = tuple(str(one) for one in fields.get("ipAddresses") or (LOCAL_ADDRESS,))
    metadata: Mapping[str, Any] = fields.get("metadata") or {}
    intercepts = metadata.get("INTERCEPTION_MODE") != "NONE"
    return Proxy(
        id=f"{kind}~{addresses[0]}~{name}.{namespace}~{namespace}.svc.{domain}",
        type=ProxyType(kind),
        name=name,
        namespace=namespace,
        service_account=str(fields.get("serviceAccount") or "default"),
        ip_addresses=addresses,
        labels=fields.get("labels") or metadata.get("LABELS") or {},
        metadata=metadata,
        service=str(metadata.get("ARTEMON_SERVICE") or ""),
        ports=_ports(metadata.get("ARTEMON_PORTS")),
        app_address=str(metadata.get("ARTEMON_APP_ADDRESS") or ("" if intercepts else "127.0.0.1")),
        intercepts=intercepts,
        http_proxy_port=int(metadata.get("HTTP_PROXY_PORT") or 0),
        locality=str(fields.get("locality") or ""),
        network=str(fields.get("network") or ""),
        gateway_bind=str(metadata.get("ARTEMON_GATEWAY_BIND") or ""),
        ipv6=metadata.get("ARTEMON_IPV6") == "true" or any(":" in one for one in addresses),
    )


def _ports(value: Any) -> tuple[WorkloadPort, ...]:
    """`ARTEMON_PORTS`, as JSON text or as the list that it stands for."""
    if not value:
        return ()
    ports = load_json(value, "ARTEMON_PORTS") if isinstance(value, str) else value
    try:
        return tuple(
            WorkloadPort(
                number=int(port["number"]),
                name=str(port["name"]),
                protocol=Protocol.parse(str(port.get("protocol") or "")),
                listen_port=int(port.get("listenPort") or port["number"]),
                app_port=int(port.get("appPort") or port.get("listenPort") or port["number"]),
            )
            for port in ports
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        why = f"must be a list of ports with name, number, protocol, listenPort, appPort: {error!r}"
        raise Refused([Problem("metadata.ARTEMON_PORTS", why)], "proxy") from error
