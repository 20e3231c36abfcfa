"""Views to what gRPC may ask for, each part made once for all clients that share what it is made from.

Everything is offered by name, and gRPC asks by name: a client is sent nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any

from artemon.model.service import Endpoint, Service
from artemon.model.virtual_service import HTTPRetry
from artemon.snapshot.memo import Memo
from artemon.snapshot.view import ProxyView
from artemon.translate.grpc.clusters import service_clusters
from artemon.translate.grpc.endpoints import service_assignments
from artemon.translate.grpc.listeners import called_ports, service_listeners
from artemon.translate.grpc.routes import route_configuration
from artemon.translate.grpc.servers import server_listeners
from artemon.translate.localities import Standpoint, preferences, standpoint_of
from artemon.translate.routes.rules import Rules
from artemon.translate.routes.scope import Client, Targets
from artemon.xds.resource import NO_RESOURCES, Resource, Resources, State
from artemon.xds.types import CLUSTER, ENDPOINTS, LISTENER, ROUTES

Named = Mapping[str, Resource]
Endpoints = Mapping[str, tuple[Endpoint, ...]]


class GrpcTranslator:
    """Translates views of proxyless gRPC, and remembers parts. `lifetime`: turns (snapshots) that an unused
    part is kept."""

    def __init__(self, *, lifetime: int = 32) -> None:
        self._memo = Memo(lifetime=lifetime)

    def turn(self) -> None:
        """A new snapshot will be translated: forget parts that have not been used for long."""
        self._memo.turn()

    def translate(self, view: ProxyView, previous: Resources | None = None) -> Resources:
        """All that the client may ask for. With `previous`, unchanged types keep their state."""
        before = previous or NO_RESOURCES
        made = {
            CLUSTER: self._of_instances(_clusters, view),
            ENDPOINTS: self._of_instances(_assignments, view, by=(self._place(view),)),
            LISTENER: self._listeners(view),
            ROUTES: self._routes(view),
        }
        return Resources({url: _state(before[url], items) for url, items in made.items()})

    def _of_instances(
        self, make: Callable[..., Named], view: ProxyView, *, by: tuple[Standpoint, ...] = ()
    ) -> Named:
        parts = (view.services, view.destinations, view.endpoints, view.mesh)
        return self._memo.get(make, *parts, self._memo, by=(view.bans, *by))

    def _place(self, view: ProxyView) -> Standpoint:
        memo = self._memo
        return standpoint_of(view.proxy, memo.get(preferences, view.destinations, view.mesh, memo))

    def _listeners(self, view: ProxyView) -> Named:
        by = (view.proxy.dns_domain,)
        called = self._memo.get(_called, view.services, self._memo, by=by)
        serving = {one.name: one for one in server_listeners(view)}
        return {**called, **serving} if serving else called

    def _routes(self, view: ProxyView) -> Named:
        asked = self._memo.get(Rules, view.virtual_services, self._memo).labels
        labels = tuple(sorted(one for one in view.proxy.labels.items() if one[0] in asked))
        parts = (view.services, view.destinations, view.virtual_services, view.mesh)
        return self._memo.get(_routes, *parts, self._memo, by=(view.proxy.namespace, labels))


def _state(before: State, items: Named) -> State:
    return before if before.items is items else before.successor(items)


def _named(resources: Iterable[Resource]) -> Named:
    return {one.name: one for one in resources}


def _clusters(*parts: Any) -> Named:
    services, destinations, endpoints, mesh, memo, bans = parts
    found = (
        service_clusters(
            memo, one, destinations.get(host), endpoints=endpoints.get(host, ()), mesh=mesh, bans=bans
        )
        for host, one in services.items()
    )
    return _named(chain.from_iterable(found))


def _assignments(*parts: Any) -> Named:
    services, destinations, endpoints, mesh, memo, bans, client = parts
    found = (
        service_assignments(
            memo,
            one,
            destinations.get(host),
            endpoints=endpoints.get(host, ()),
            mesh=mesh,
            client=client,
            bans=bans,
        )
        for host, one in services.items()
    )
    return _named(chain.from_iterable(found))


def _called(services: Mapping[str, Service], memo: Memo, dns_domain: str) -> Named:
    """By each name that a client may use. The full name of a service is never the short one of another."""
    found = [memo.get(service_listeners, one, by=(dns_domain,)) for one in services.values()]
    full = (
        one
        for service, many in zip(services.values(), found, strict=True)
        for one in many
        if one.name.rpartition(":")[0] == service.host
    )
    return {**_named(chain.from_iterable(reversed(found))), **_named(full)}


def _routes(*parts: Any) -> Named:
    services, destinations, virtual_services, mesh, memo, namespace, labels = parts
    rules = memo.get(Rules, virtual_services, memo)
    found = []
    for host, service in services.items():
        chosen = rules.for_host(host)
        hosts = tuple(dict.fromkeys((host, *(each for rule in chosen for each in rules.asked(rule).hosts))))
        objects = (*map(services.get, hosts), *map(destinations.get, hosts))
        retries = mesh.default_http_retry_policy
        found.append(
            memo.get(_service_routes, service, retries, *chosen, *objects, by=(hosts, namespace, labels))
        )
    return _named(chain.from_iterable(found))


def _service_routes(service: Service, retries: HTTPRetry | None, *parts: Any) -> tuple[Resource, ...]:
    *objects, hosts, namespace, labels = parts
    count = len(hosts)
    rules, known, destinations = objects[: -2 * count], objects[-2 * count : -count], objects[-count:]
    targets = Targets(
        services={host: one for host, one in zip(hosts, known, strict=True) if one is not None},
        destinations={host: one for host, one in zip(hosts, destinations, strict=True) if one is not None},
        retries=retries,
    )
    found = []
    for port in called_ports(service):
        client = Client(port=port.number, namespace=namespace, labels=dict(labels))
        made = route_configuration(service, port, rules, client, targets)
        found.append(Resource.of(made.name, ROUTES, made))
    return tuple(found)
