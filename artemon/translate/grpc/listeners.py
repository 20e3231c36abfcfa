"""What a gRPC client asks for first: a Listener with the very name of its target (gRFC A27)."""

from __future__ import annotations

from collections.abc import Iterator

from envoy.config.listener.v3.api_listener_pb2 import ApiListener
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.http.fault.v3.fault_pb2 import HTTPFault
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    HttpFilter,
    Rds,
)

from artemon.model.service import Port, Protocol, Service
from artemon.translate import names
from artemon.translate.egress import virtual_addresses
from artemon.translate.grpc.routes import FAULT
from artemon.translate.wire import ads, packed
from artemon.xds.resource import Resource
from artemon.xds.types import LISTENER

ROUTER = HttpFilter(name="envoy.filters.http.router", typed_config=packed(Router()))
_FILTERS = (HttpFilter(name=FAULT, typed_config=packed(HTTPFault())), ROUTER)
"""The router must be the last one."""


def called_ports(service: Service) -> Iterator[Port]:
    """The ports that can be called."""
    return (port for port in service.ports if port.protocol is not Protocol.UDP)


def service_listeners(service: Service, dns_domain: str) -> tuple[Resource, ...]:
    """A Listener for each name and port by which clients in `dns_domain` may call a service. All lead to the
    same route configuration. A host with a wildcard cannot be called."""
    if service.host.startswith("*"):
        return ()
    domains = names.service_domains(service.host, dns_domain, virtual_addresses(service))
    return tuple(
        Resource.of(name, LISTENER, _listener(name, names.outbound_cluster(service.host, port.number)))
        for port in called_ports(service)
        for name in (f"{domain}:{port.number}" for domain in domains)
    )


def _listener(name: str, route: str) -> Listener:
    manager = HttpConnectionManager(
        rds=Rds(config_source=ads(), route_config_name=route), http_filters=_FILTERS
    )
    return Listener(name=name, api_listener=ApiListener(api_listener=packed(manager)))
