"""Annotations with a meaning to the mesh."""

from __future__ import annotations

from artemon.model.authorization_policy import AuthorizationPolicy
from artemon.model.egress import EGRESS_GATEWAY
from artemon.model.message import Message
from artemon.model.resource import Resource
from artemon.model.service_entry import ServiceEntry
from artemon.model.words import path_of
from artemon.validate.amounts import is_http
from artemon.validate.findings import Problems, error
from artemon.validate.hosts import is_label

DRY_RUN = "istio.io/dry-run"
REJECT = frozenset({"istio.io/always-reject", "internal.istio.io/webhook-always-reject"})
_PARENTS = "internal.istio.io/parent"
_BOOLEANS = frozenset("1 t T TRUE true True 0 f F FALSE false False".split())  # noqa: SIM905


def annotated(resource: Resource[Message]) -> Problems:
    """What is wrong with the annotations of any object."""
    for name, value in resource.meta.annotations.items():
        path = path_of((name,), "metadata.annotations")
        if name in REJECT:
            yield error(path, "asks for the object to be refused")
        elif name.startswith(_PARENTS):
            yield error(path, "is for objects made by the mesh itself")
        elif name == DRY_RUN:
            yield from _dry_run(resource.spec, value, path)
        elif name == EGRESS_GATEWAY:
            yield from _egress_gateway(resource.spec, value, path)


def _dry_run(spec: Message, value: str, path: str) -> Problems:
    if not isinstance(spec, AuthorizationPolicy):
        yield error(path, "is for AuthorizationPolicy only")
    elif spec.action not in {"ALLOW", "DENY"}:
        yield error(path, f"works with ALLOW and DENY, not with {spec.action}")
    elif value not in _BOOLEANS:
        yield error(path, f'must be "true" or "false", not "{value}"')


def _egress_gateway(spec: Message, value: str, path: str) -> Problems:
    """The gateway finds by itself what sidecars ask it for; it cannot see where applications were going."""
    if not isinstance(spec, ServiceEntry):
        yield error(path, "is for ServiceEntry only")
        return
    namespace, slash, name = value.partition("/")
    if not slash or not is_label(namespace) or not is_label(name):
        yield error(path, f'"{value}" must be <namespace>/<name> of a Gateway')
    if spec.location != "MESH_EXTERNAL":
        yield error(path, "is for location MESH_EXTERNAL: services of the mesh are reached directly")
    if spec.resolution == "NONE":
        yield error(path, "cannot be used with resolution NONE: the gateway has to find the hosts by itself")
    elif spec.resolution == "DYNAMIC_DNS" and any(not is_http(port.protocol) for port in spec.ports):
        yield error(path, "with resolution DYNAMIC_DNS, every port must be HTTP, HTTP2 or GRPC")
