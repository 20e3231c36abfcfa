"""Rules of GatewayClass, Gateway and ReferenceGrant, as Gateway API's CRDs have them."""

from __future__ import annotations

import re

from artemon.model.envelope import is_subdomain
from artemon.model.gateway_api import Gateway, GatewayClass, Listener, ReferenceGrant
from artemon.model.resource import Resource
from artemon.validate.amounts import port
from artemon.validate.context import Context
from artemon.validate.findings import Problems, error, repeats, wrong
from artemon.validate.ingress import hostname

MAX_LISTENERS = 64
_CONTROLLER = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9/\-._~%!$&'()*+,;=:]+")


def gateway_class(resource: Resource[GatewayClass], _: Context) -> Problems:
    """What is wrong with one GatewayClass."""
    name = resource.spec.controller_name
    if not _CONTROLLER.fullmatch(name):
        yield error("spec.controllerName", f'"{name}" must be a domain, "/" and a path')


def kubernetes_gateway(resource: Resource[Gateway], _: Context) -> Problems:
    """What is wrong with one Gateway of Gateway API."""
    spec = resource.spec
    if not spec.gateway_class_name:
        yield error("spec.gatewayClassName", "must not be empty")
    if not 1 <= len(spec.listeners) <= MAX_LISTENERS:
        yield error("spec.listeners", f"must have 1 to {MAX_LISTENERS} listeners, not {len(spec.listeners)}")
    for index, listener in enumerate(spec.listeners):
        yield from _listener(listener, f"spec.listeners[{index}]")
    for index in repeats(one.name for one in spec.listeners):
        yield error(f"spec.listeners[{index}].name", f'"{spec.listeners[index].name}" is given twice')
    for index in repeats((one.port, one.protocol, one.hostname.lower()) for one in spec.listeners):
        yield error(f"spec.listeners[{index}]", "port, protocol and hostname are those of another listener")
    for index, address in enumerate(spec.addresses):
        if not address.value:
            yield error(f"spec.addresses[{index}].value", "is required")


def _listener(listener: Listener, where: str) -> Problems:
    if not is_subdomain(listener.name):
        yield error(f"{where}.name", f'"{listener.name}" must be a name in lower case')
    yield from wrong(f"{where}.port", port(listener.port))
    if not listener.protocol:
        yield error(f"{where}.protocol", "must not be empty")
    if listener.hostname:
        yield from wrong(f"{where}.hostname", hostname(listener.hostname))
        if listener.protocol in ("TCP", "UDP"):
            yield error(f"{where}.hostname", f"has no meaning for {listener.protocol}")
    if listener.tls is not None and listener.protocol in ("HTTP", "TCP", "UDP"):
        yield error(f"{where}.tls", f"has no meaning for {listener.protocol}")
    if listener.tls is not None and listener.protocol == "HTTPS" and listener.tls.mode != "Terminate":
        yield error(f"{where}.tls.mode", "must be Terminate for HTTPS")
    namespaces = listener.allowed_routes.namespaces if listener.allowed_routes else None
    if namespaces is not None and namespaces.from_ == "Selector" and namespaces.selector is None:
        yield error(f"{where}.allowedRoutes.namespaces.selector", "is required where from is Selector")


def reference_grant(resource: Resource[ReferenceGrant], _: Context) -> Problems:
    """What is wrong with one ReferenceGrant."""
    for name, many in (("from", resource.spec.from_), ("to", resource.spec.to)):
        if not many:
            yield error(f"spec.{name}", "must have at least one entry")
    for index, one in enumerate(resource.spec.from_):
        if not one.namespace:
            yield error(f"spec.from[{index}].namespace", "must not be empty")
