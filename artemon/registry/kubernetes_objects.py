"""Kubernetes objects, sorted by kind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from artemon.errors import Problem, Refused
from artemon.registry.kubernetes_read import Fields, Unfit, read
from artemon.registry.kubernetes_shapes import (
    Endpoints,
    EndpointSlice,
    Key,
    Node,
    Pod,
    Service,
)

SERVICE_NAME_LABEL = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True)
class Objects:
    """Kubernetes objects by kind. slices: by the service that they are for. addresses: of pods."""

    services: list[Service] = field(default_factory=list)
    slices: dict[Key, list[EndpointSlice]] = field(default_factory=dict)
    endpoints: dict[Key, Endpoints] = field(default_factory=dict)
    pods: dict[Key, Pod] = field(default_factory=dict)
    addresses: dict[str, Pod] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)


def owner_of(one: EndpointSlice) -> Key:
    """The service that a slice is for."""
    return one.namespace, one.labels.get(SERVICE_NAME_LABEL, "")


def sort_objects(objects: Iterable[Fields]) -> Objects:
    """Every object where it belongs; namespaces need nothing. Raises Refused with all problems of all."""
    out, problems = Objects(), list[Problem]()
    for fields in objects:
        match read(fields["kind"], fields):
            case Unfit(problems=found):
                problems += found
            case Service() as service:
                out.services.append(service)
            case EndpointSlice() as listed:
                out.slices.setdefault(owner_of(listed), []).append(listed)
            case Endpoints() as one:
                out.endpoints[one.key] = one
            case Pod() as pod:
                out.pods[pod.key] = pod
                out.addresses.update(dict.fromkeys(pod.addresses, pod))
            case Node() as node:
                out.nodes[node.name] = node
    if problems:
        raise Refused(problems)
    return out
