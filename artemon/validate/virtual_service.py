"""Rules of VirtualService (Istio `ValidateVirtualService`)."""

from __future__ import annotations

from artemon.model.resource import Resource
from artemon.model.virtual_service import VirtualService
from artemon.validate.addresses import is_ip
from artemon.validate.context import Context
from artemon.validate.findings import Problems, error, repeats
from artemon.validate.hosts import Patterns, gateway_bound_domain, wildcard_domain
from artemon.validate.http_match import gateway_names
from artemon.validate.http_route import http_route
from artemon.validate.l4_route import tcp_route, tls_route
from artemon.validate.scope import export_to
from artemon.validate.unreachable import shadowed, unreachable

MESH = "mesh"
ROUTE_SEMANTICS = "internal.istio.io/route-semantics"


def virtual_service(resource: Resource[VirtualService], context: Context) -> Problems:
    """What is wrong with one VirtualService; without hosts it is a delegate."""
    spec = resource.spec
    converted = resource.meta.annotations.get(ROUTE_SEMANTICS) == "gateway"
    on_gateway = bool(spec.gateways) and MESH not in spec.gateways
    delegate = not spec.hosts
    if delegate:
        yield from _delegate(spec)
    yield from gateway_names(spec.gateways, "spec.gateways", converted=converted)
    yield from _hosts(spec, on_gateway=on_gateway)
    if not (spec.http or spec.tls or spec.tcp):
        yield error("spec", "must have at least one of http, tls and tcp")
    hosts = Patterns(spec.hosts)
    for index, http in enumerate(spec.http):
        yield from http_route(
            http, f"spec.http[{index}]", delegate=delegate, claims=on_gateway, converted=converted
        )
    for index, tls in enumerate(spec.tls):
        yield from tls_route(
            tls, f"spec.tls[{index}]", hosts=hosts, on_gateway=on_gateway, converted=converted
        )
    for index, tcp in enumerate(spec.tcp):
        yield from tcp_route(tcp, f"spec.tcp[{index}]", converted=converted)
    yield from export_to(spec.export_to, namespace=resource.meta.namespace)
    yield from unreachable(spec.http, "spec.http")
    yield from shadowed(spec.http, "spec.http")
    yield from unreachable(spec.tls, "spec.tls")
    yield from unreachable(spec.tcp, "spec.tcp")


def _delegate(spec: VirtualService) -> Problems:
    for name, value in (("gateways", spec.gateways), ("tls", spec.tls), ("tcp", spec.tcp)):
        if value:
            yield error(f"spec.{name}", "must not be set in a VirtualService without hosts (a delegate)")


def _hosts(spec: VirtualService, *, on_gateway: bool) -> Problems:
    sni = any(match.sni_hosts for route in spec.tls for match in route.match)
    valid = True
    for index, host in enumerate(spec.hosts):
        reason = gateway_bound_domain(host, sni=sni) if on_gateway else wildcard_domain(host)
        if reason and is_ip(host):
            reason = None
        elif not reason and host == "*" and not on_gateway:
            reason = '"*" is for routes of a gateway only; name the hosts, or a gateway in spec.gateways'
        if reason:
            valid = False
            yield error(f"spec.hosts[{index}]", reason)
    patterns = Patterns(spec.hosts if valid else ())
    for index, host in enumerate(spec.hosts):
        other = patterns.covering(host, besides=index)
        if other is not None:
            yield error(
                f"spec.hosts[{index}]", f'is taken by "{spec.hosts[other]}" as well; keep one of them'
            )
    repeated = repeats(spec.hosts) if valid else ()
    for index in repeated:
        yield error(f"spec.hosts[{index}]", f'"{spec.hosts[index]}" is given twice')
