"""What is known around objects of the edge: the mesh's settings, its services, labels of namespaces."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from artemon.model.gateway import Gateway
from artemon.model.kinds import GATEWAY, VIRTUAL_SERVICE
from artemon.model.mesh_config import LabelSelector, MeshConfig
from artemon.model.resource import Meta, Resource
from artemon.model.service import Service
from artemon.model.virtual_service import VirtualService

NAMESPACE_LABELS = "artemon.io/namespace-labels"
"""Annotation of copies of a cluster's routes: the labels of their namespace, as JSON."""
WITHIN = "artemon.io/within"
"""Annotation of a Gateway that is for proxies of this namespace alone."""


@dataclass(frozen=True, slots=True)
class Objects:
    """Objects of the edge, of each kind the oldest first."""

    ingresses: Sequence[Resource[Any]] = ()
    gateways: Sequence[Resource[Any]] = ()
    routes: Sequence[Resource[Any]] = ()
    grants: Sequence[Resource[Any]] = ()
    calls: Sequence[Resource[Any]] = ()
    """GRPCRoutes."""


@dataclass(frozen=True, slots=True)
class Known:
    """service: of a full host. selector: the labels that the Service with that host selects. labels: of
    namespaces, where they are known. lacking: why the Secret of that namespace and name serves no TLS; empty
    where nothing is known against it."""

    mesh: MeshConfig
    domain: str
    service: Callable[[str], Service | None]
    selector: Callable[[str], Mapping[str, str] | None] = lambda host: None
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    lacking: Callable[[str, str], str] = lambda namespace, name: ""

    def namespace_labels(self, one: Resource[Any]) -> Mapping[str, str]:
        """The labels of an object's namespace; everywhere its name is one."""
        namespace = one.meta.namespace
        found = {**self.labels.get(namespace, {}), **_written(one)}
        return {**found, "kubernetes.io/metadata.name": namespace}


def _written(one: Resource[Any]) -> Mapping[str, str]:
    try:
        found = json.loads(one.meta.annotations.get(NAMESPACE_LABELS) or "{}")
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def selected(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether labels are as a Kubernetes selector wants them; an empty one wants nothing."""
    plain = all(labels.get(key) == value for key, value in selector.match_labels.items())
    return plain and all(_holds(one, labels) for one in selector.match_expressions)


def _holds(one: Any, labels: Mapping[str, str]) -> bool:
    match one.operator:
        case "In":
            return labels.get(one.key) in one.values
        case "NotIn":
            return labels.get(one.key) not in one.values
        case "Exists":
            return one.key in labels
        case _:
            return one.key not in labels


def made_gateway(name: str, namespace: str, spec: Gateway, like: Resource[Any]) -> Resource[Gateway]:
    """A Gateway that was made of `like`, and is as old."""
    return Resource(GATEWAY, _meta(name, namespace, like), spec)


def made_routes(
    name: str, namespace: str, spec: VirtualService, like: Resource[Any]
) -> Resource[VirtualService]:
    """A VirtualService that was made of `like`, and is as old."""
    return Resource(VIRTUAL_SERVICE, _meta(name, namespace, like), spec)


def _meta(name: str, namespace: str, like: Resource[Any]) -> Meta:
    return Meta(name=name, namespace=namespace, created=like.meta.created)
