"""Worlds for snapshot tests, written as users write them."""

from __future__ import annotations

from typing import Any

from artemon.model.decode import decode, load_yaml
from artemon.model.mesh_config import MeshConfig
from artemon.model.proxy import Proxy, ProxyType, WorkloadPort
from artemon.model.service import Protocol
from artemon.model.workload import Workload
from artemon.snapshot.build import build
from artemon.snapshot.changes import Change, Upsert
from artemon.snapshot.records import upsert
from artemon.snapshot.snapshot import Snapshot
from artemon.snapshot.world import World

NETWORKING = "networking.istio.io/v1"
GROUPS = {"PeerAuthentication": "security.istio.io/v1", "EnvoyFilter": "networking.istio.io/v1alpha3"}
GROUPS |= {"Telemetry": "telemetry.istio.io/v1", "RateLimit": "policy.artemon.io/v1"}
GROUPS["ProxyConfig"] = "networking.istio.io/v1beta1"


def obj(kind: str, name: str, spec: dict[str, Any], *, namespace: str = "ns", **meta: Any) -> Upsert:
    """One object, as the change that brings it in."""
    group = GROUPS.get(kind, NETWORKING)
    fields = {
        "apiVersion": group,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace} | meta,
        "spec": spec,
    }
    return upsert(decode(fields))


def entry(name: str, host: str, *, namespace: str = "ns", created: str = "", **spec: Any) -> Upsert:
    """A ServiceEntry of the mesh for one host with HTTP on port 80."""
    meta = {"creationTimestamp": created} if created else {}
    fields = {
        "hosts": [host],
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
    }
    return obj("ServiceEntry", name, fields | spec, namespace=namespace, **meta)


def joined(name: str, service: str = "web", *, namespace: str = "ns", **fields: Any) -> Upsert:
    """A workload that joined, serving port 80 on 8080."""
    ports = (WorkloadPort(80, "http", Protocol.HTTP, 8080, 8081),)
    values = {"address": "10.1.0.1", "ports": ports, "labels": {"app": service}} | fields
    workload = Workload(node=name, namespace=namespace, service=service, **values)
    return Upsert(f"workloads/{namespace}/{service or '_'}/{name}", workload)


def snapshot(*changes: Change, mesh: dict[str, Any] | None = None) -> Snapshot:
    """The mesh that these changes make."""
    world = World()
    world.apply([Upsert("mesh", MeshConfig.model_validate(mesh or {})), *changes])
    return build(world)


def yaml(text: str) -> list[Change]:
    """Objects in YAML, as changes."""
    return [upsert(decode(fields)) for fields in load_yaml(text)]


def proxy(name: str = "client", *, namespace: str = "ns", **fields: Any) -> Proxy:
    """A sidecar, unless `type` says otherwise."""
    values: dict[str, Any] = {"type": ProxyType.SIDECAR, "labels": {"app": name}} | fields
    kind = values["type"]
    identity = f"{kind}~10.0.0.9~{name}.{namespace}~{namespace}.svc.cluster.local"
    return Proxy(id=identity, name=name, namespace=namespace, **values)
