"""Virtual hosts of sidecars, serialized once for all clients that they do not tell apart.

Nothing but bytes is remembered: a message takes many times their memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from envoy.config.route.v3.route_components_pb2 import Route, VirtualHost

from artemon.model.service import Service
from artemon.model.virtual_service import HTTPRetry
from artemon.snapshot.memo import Memo
from artemon.snapshot.view import ProxyView
from artemon.translate import names
from artemon.translate.egress import Offer, RouteTable, virtual_addresses
from artemon.translate.routes.http import default_route, http_routes
from artemon.translate.routes.rules import Rule, Rules
from artemon.translate.routes.scope import Client, Targets
from artemon.xds.wire import field

_HOSTS = 2
"""The field of a RouteConfiguration that holds virtual hosts."""
_NAME, _DOMAINS = 1, 2
"""Fields of a VirtualHost."""


@dataclass(frozen=True, slots=True)
class Host:
    """A virtual host. rest: all of it but name and domains. whole: it in a route configuration."""

    name: str
    domains: tuple[str, ...]
    rest: bytes
    whole: bytes

    def among(self, domains: tuple[str, ...]) -> bytes:
        """It with these domains alone, as a field of a route configuration; nothing without any."""
        if not domains:
            return b""
        return self.whole if domains is self.domains else _field(self.name, domains, self.rest)


def _field(name: str, domains: Iterable[str], rest: bytes) -> bytes:
    head = field(_NAME, name.encode()) + b"".join(field(_DOMAINS, domain.encode()) for domain in domains)
    return field(_HOSTS, head + rest)


class Facts(NamedTuple):
    """How clients name a virtual host. domain: the client's DNS domain. with_ports: with the port, which may
    be left out where it is 80."""

    port: int
    domain: str
    with_ports: bool

    def domains(self, hosts: Iterable[str]) -> tuple[str, ...]:
        """`hosts` as clients write them."""
        bare = tuple(dict.fromkeys(hosts))
        if not self.with_ports:
            return bare
        return (*(bare if self.port == 80 else ()), *(f"{domain}:{self.port}" for domain in bare))


class Surroundings:
    """What all virtual hosts of one proxy are made from."""

    def __init__(self, view: ProxyView, rules: Rules, targets: Targets, memo: Memo) -> None:
        self.view = view
        self.rules = rules
        self.targets = targets
        self.memo = memo
        self._labels = tuple(sorted(view.proxy.labels.items()))
        self._anywhere = ("", self._labels)
        self._facts: dict[tuple[int, bool], Facts] = {}

    def facts(self, port: int, table: RouteTable) -> Facts:
        """The facts for one port of one table."""
        key = (port, table.with_ports)
        if key not in self._facts:
            self._facts[key] = Facts(port, self.view.proxy.dns_domain, table.with_ports)
        return self._facts[key]

    def who(self, rules: Iterable[Rule]) -> tuple[str, tuple[tuple[str, str], ...]]:
        """What of the client these rules can tell: its namespace, its labels."""
        for rule in rules:
            if self.rules.asked(rule).namespace:
                return (self.view.proxy.namespace, self._labels)
        return self._anywhere


def service_host(offer: Offer, table: RouteTable, around: Surroundings) -> Host:
    """The virtual host of a service."""
    service, port = offer
    rules, targets = around.rules.for_host(service.host), around.targets
    hosts = [service.host]
    for rule in rules:
        hosts += [host for host in around.rules.asked(rule).hosts if host not in hosts]
    objects = [*map(targets.services.get, hosts), *map(targets.destinations.get, hosts)]
    facts, who = around.facts(port.number, table), around.who(rules)
    return around.memo.get(
        _service_host, service, targets.retries, around.memo, *rules, *objects, by=(tuple(hosts), who, facts)
    )


def _service_host(service: Service, retries: HTTPRetry | None, memo: Memo, *parts: Any) -> Host:
    *objects, hosts, who, facts = parts
    rest = memo.get(_service_routes, service, retries, *objects, by=(hosts, who, facts.port))
    domains = names.service_domains(service.host, facts.domain, virtual_addresses(service))
    if service.names_instances:
        domains += tuple(f"*.{domain}" for domain in domains)
    return _host(names.virtual_host(service.host, facts.port), facts.domains(domains), rest)


def _service_routes(service: Service, retries: HTTPRetry | None, *parts: Any) -> bytes:
    *objects, hosts, (namespace, labels), port = parts
    count = len(hosts)
    rules, services, destinations = objects[: -2 * count], objects[-2 * count : -count], objects[-count:]
    targets = Targets(
        services={host: one for host, one in zip(hosts, services, strict=True) if one is not None},
        destinations={host: one for host, one in zip(hosts, destinations, strict=True) if one is not None},
        retries=retries,
    )
    client = Client(port=port, namespace=namespace, labels=dict(labels))
    return _rest(first_routes(rules, client, targets) or [default_route(service.host, client, targets)])


def rule_host(host: str, table: RouteTable, around: Surroundings) -> Host | None:
    """A host that only rules know; it can be asked for on port 80."""
    facts, proxy = around.facts(80, table), around.view.proxy
    client = Client(port=80, namespace=proxy.namespace, labels=proxy.labels)
    routes = first_routes(around.rules.for_host(host), client, around.targets)
    if not routes:
        return None
    domains = names.service_domains(host, facts.domain) if not host.startswith("*") else (host,)
    return _host(names.virtual_host(host, 80), facts.domains(domains), _rest(routes))


def first_routes(rules: Iterable[Rule], client: Client, targets: Targets) -> list[Route]:
    """The routes of the best rule that has any for this client."""
    return next((routes for rule in rules if (routes := http_routes(rule, client, targets))), [])


def _host(name: str, domains: tuple[str, ...], rest: bytes) -> Host:
    return Host(name, domains, rest, _field(name, domains, rest))


def _rest(routes: Iterable[Route]) -> bytes:
    rest = VirtualHost(routes=routes, include_request_attempt_count=True)
    body: bytes = rest.SerializeToString(deterministic=True)
    return body
