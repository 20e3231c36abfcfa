"""What a cluster has around objects of the edge, and how these are copied: whose classes are ours, labels of
namespaces, Services. No I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from artemon.errors import Refused
from artemon.kube.kinds import INGRESS_CLASS, NAMESPACE, SERVICE
from artemon.model.hosts import DEFAULT_DOMAIN, service_host
from artemon.model.kinds import (
    GATEWAY_CLASS,
    GRPC_ROUTE,
    HTTP_ROUTE,
    INGRESS,
    KUBERNETES_GATEWAY,
    REFERENCE_GRANT,
    SERVICE_ENTRY,
)
from artemon.model.mesh_config import MeshConfig
from artemon.model.resource import Kind, Resource
from artemon.model.service import Port, Service
from artemon.model.tolerant import decode_tolerantly
from artemon.model.workload import Workload
from artemon.registry.kubernetes import to_service
from artemon.registry.kubernetes_read import read
from artemon.registry.kubernetes_shapes import Service as KubernetesService
from artemon.snapshot.edge.known import NAMESPACE_LABELS, Known, Objects
from artemon.snapshot.edge.said import CLASS, CONTROLLER
from galleyd.objects import Object, meta_of

INGRESS_CONTROLLER = "istio.io/ingress-controller"
AROUND: tuple[Kind, ...] = (GATEWAY_CLASS, INGRESS_CLASS, NAMESPACE, SERVICE)
COPIED: tuple[Kind, ...] = (INGRESS, KUBERNETES_GATEWAY, HTTP_ROUTE, REFERENCE_GRANT, GRPC_ROUTE)
TOUCHED: Mapping[Kind, tuple[Kind, ...]] = {
    GATEWAY_CLASS: (KUBERNETES_GATEWAY,),
    INGRESS_CLASS: (INGRESS,),
    NAMESPACE: (HTTP_ROUTE, GRPC_ROUTE),
}
"""Kind -> the kinds whose copies look different by it."""
Name = tuple[str, str]


def name_of(obj: Object) -> Name:
    """Namespace and name."""
    meta = meta_of(obj)
    return str(meta.get("namespace") or ""), str(meta.get("name") or "")


@dataclass
class Stock:
    """objects: of AROUND, by kind and name, as the cluster has them."""

    objects: dict[Kind, dict[Name, Object]] = field(default_factory=lambda: {kind: {} for kind in AROUND})

    def shaped(self, kind: Kind, obj: Object, mesh: MeshConfig) -> Object | None:
        """The object as it is copied, with our own name for its class; None: it is of another's class."""
        spec = obj.get("spec")
        spec = spec if isinstance(spec, dict) else {}
        if kind is KUBERNETES_GATEWAY:
            named = self._found(GATEWAY_CLASS, spec.get("gatewayClassName"))
            if named is None:
                return obj if spec.get("gatewayClassName") == CLASS else None
            ours = (named.get("spec") or {}).get("controllerName") == CONTROLLER
            return {**obj, "spec": {**spec, "gatewayClassName": CLASS}} if ours else None
        if kind is INGRESS:
            named = self._found(INGRESS_CLASS, spec.get("ingressClassName"))
            if named is None:
                return obj
            ours = (named.get("spec") or {}).get("controller") == INGRESS_CONTROLLER
            return {**obj, "spec": {**spec, "ingressClassName": mesh.ingress_class}} if ours else None
        if kind in {HTTP_ROUTE, GRPC_ROUTE}:
            space = self._found(NAMESPACE, name_of(obj)[0])
            labels = (meta_of(space).get("labels") if space else None) or {}
            meta = meta_of(obj)
            notes = {**(meta.get("annotations") or {}), NAMESPACE_LABELS: json.dumps(labels, sort_keys=True)}
            return {**obj, "metadata": {**meta, "annotations": notes}}
        return obj

    def _found(self, kind: Kind, name: Any) -> Object | None:
        return self.objects[kind].get(("", str(name))) if name else None

    def known(
        self, mesh: MeshConfig, workloads: Iterable[Workload], entries: Iterable[Resource[Any]]
    ) -> Known:
        """What routes can refer to: Services of the cluster, of machines, and hosts of ServiceEntries."""
        services = {one.host: one for one in self._services(mesh)}
        for workload in workloads:
            if workload.service:
                host = service_host(workload.service, workload.namespace)
                known = services.setdefault(host, Service(host, workload.namespace, ()))
                joined = (Port(one.number, one.name) for one in workload.ports)
                services[host] = replace(known, ports=(*known.ports, *joined))
        for entry in entries:
            ports = tuple(Port(one.number, one.name) for one in entry.spec.ports)
            for host in entry.spec.hosts:
                services.setdefault(host.lower(), Service(host.lower(), entry.meta.namespace, ports))
        return Known(mesh, DEFAULT_DOMAIN, services.get, self.selector)

    def selector(self, host: str) -> Mapping[str, str] | None:
        """The labels that the Service with this host selects."""
        found = self.service(host)
        return ((found or {}).get("spec") or {}).get("selector") or None

    def service(self, host: str) -> Object | None:
        """The Service with this host."""
        name, namespace = (*host.split("."), "")[:2]
        return self.objects[SERVICE].get((namespace, name))

    def _services(self, mesh: MeshConfig) -> Iterable[Service]:
        for obj in self.objects[SERVICE].values():
            one = read(SERVICE.name, obj)
            if isinstance(one, KubernetesService):
                yield to_service(one, mesh, domain=DEFAULT_DOMAIN)


def objects_of(seen: Mapping[Kind, Iterable[Object]]) -> Objects:
    """The objects that decode, of each kind the oldest first."""
    return Objects(*(_decoded(kind, seen.get(kind, ())) for kind in COPIED))


def entries_of(objects: Iterable[Object]) -> list[Resource[Any]]:
    """ServiceEntries that decode."""
    return list(_decoded(SERVICE_ENTRY, objects))


def _decoded(kind: Kind, objects: Iterable[Object]) -> list[Resource[Any]]:
    found = []
    for obj in objects:
        whole = {"apiVersion": kind.api_version, "kind": kind.name, **obj, "status": {}}
        try:
            resource = decode_tolerantly(whole).resource
        except Refused:
            continue
        if resource is not None:
            found.append(resource)
    return sorted(found, key=lambda one: (one.meta.created, one.meta.name, one.meta.namespace))
