"""Route configurations of sidecars: a virtual host for every service that can be asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from envoy.config.route.v3.route_components_pb2 import (
    DirectResponseAction,
    Route,
    RouteMatch,
    VirtualHost,
)
from envoy.config.route.v3.route_pb2 import RouteConfiguration

from artemon.model.hosts import covers
from artemon.model.service import Service
from artemon.model.virtual_service import HTTPRetry
from artemon.snapshot.memo import Memo
from artemon.snapshot.view import ProxyView
from artemon.translate import names
from artemon.translate.dynamic_dns import looks_up_any
from artemon.translate.egress import (
    Offer,
    RouteTable,
    egress_cluster,
    outbound_policy,
    virtual_addresses,
)
from artemon.translate.routes.action import action_within
from artemon.translate.routes.http import default_route, http_routes
from artemon.translate.routes.rules import Rule, Rules, named_hosts
from artemon.translate.routes.scope import Client, Targets
from artemon.translate.wire import ZERO


def route_configuration(table: RouteTable, around: Surroundings) -> RouteConfiguration:
    """The hosts of one table, in the order of services, and at last what happens to any other host."""
    out = RouteConfiguration(name=table.name, ignore_port_in_host_matching=not table.with_ports)
    out.validate_clusters.value = False
    domains = Domains()
    for host in _hosts(table, around):
        free = domains.claim(host.domains)
        if free:
            out.virtual_hosts.append(host)
            if len(free) < len(host.domains):
                out.virtual_hosts[-1].domains[:] = free
    if table.sole and len(out.virtual_hosts) == 1:
        out.virtual_hosts[0].domains[:] = ["*"]
    else:
        out.virtual_hosts.append(other_hosts(around.view))
    return out


class Domains:
    """The domains of one route configuration: each may be given away once."""

    def __init__(self) -> None:
        self._taken = {"*"}

    def claim(self, wanted: Iterable[str]) -> list[str]:
        """Those of `wanted` that are still free, now taken."""
        free = [d for d in dict.fromkeys(wanted) if d not in self._taken]
        self._taken.update(free)
        return free


@dataclass(frozen=True, slots=True)
class Facts:
    """What the virtual host of a service depends on beside the service and its rules.

    labels: of the client. domain: its DNS domain. with_ports: whether domains carry the port.
    """

    port: int
    namespace: str
    labels: tuple[tuple[str, str], ...]
    domain: str
    with_ports: bool

    @property
    def client(self) -> Client:
        """Who asks."""
        return Client(port=self.port, namespace=self.namespace, labels=dict(self.labels))

    def domains(self, hosts: Iterable[str]) -> list[str]:
        """As clients write them: to an HTTP proxy with the port, which may be left out where it is 80."""
        bare = list(hosts)
        if not self.with_ports:
            return bare
        return (bare if self.port == 80 else []) + [f"{domain}:{self.port}" for domain in bare]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all virtual hosts of one proxy are made from."""

    view: ProxyView
    rules: Rules
    targets: Targets
    memo: Memo

    def facts(self, port: int, table: RouteTable) -> Facts:
        """The facts for one port of one table."""
        proxy = self.view.proxy
        labels = tuple(sorted(proxy.labels.items()))
        return Facts(port, proxy.namespace, labels, proxy.dns_domain, table.with_ports)


def _hosts(table: RouteTable, around: Surroundings) -> Iterator[VirtualHost]:
    for offer in table.offers:
        yield _shared_host(offer, table, around)
    if table.others:
        for host in around.rules.hosts():
            if not any(covers(host, known) for known in around.view.services):
                found = _rule_host(host, table, around)
                if found is not None:
                    yield found


def _shared_host(offer: Offer, table: RouteTable, around: Surroundings) -> VirtualHost:
    """The virtual host of a service, made once for all clients that the same rules, services and
    destinations make it for."""
    service, port = offer
    rules, targets = around.rules.for_host(service.host), around.targets
    named = (around.memo.get(named_hosts, rule) for rule in rules)
    hosts = tuple(dict.fromkeys((service.host, *(host for many in named for host in many))))
    objects = [found.get(host) for found in (targets.services, targets.destinations) for host in hosts]
    facts = around.facts(port.number, table)
    return around.memo.get(_made_host, service, targets.retries, *rules, *objects, by=(hosts, facts))


def _made_host(service: Service, retries: HTTPRetry | None, *parts: Any) -> VirtualHost:
    *objects, hosts, facts = parts
    count = len(hosts)
    rules, services, destinations = objects[: -2 * count], objects[-2 * count : -count], objects[-count:]
    targets = Targets(
        services={host: one for host, one in zip(hosts, services, strict=True) if one is not None},
        destinations={host: one for host, one in zip(hosts, destinations, strict=True) if one is not None},
        retries=retries,
    )
    routes = _first_routes(rules, facts.client, targets)
    domains = names.service_domains(service.host, facts.domain, virtual_addresses(service))
    return VirtualHost(
        name=names.virtual_host(service.host, facts.port),
        domains=facts.domains(domains),
        routes=routes or [default_route(service.host, facts.client, targets)],
        include_request_attempt_count=True,
    )


def _rule_host(host: str, table: RouteTable, around: Surroundings) -> VirtualHost | None:
    """A host that only rules know; it can be asked for on port 80."""
    facts = around.facts(80, table)
    routes = _first_routes(around.rules.for_host(host), facts.client, around.targets)
    if not routes:
        return None
    domains = names.service_domains(host, facts.domain) if not host.startswith("*") else (host,)
    return VirtualHost(
        name=names.virtual_host(host, 80),
        domains=facts.domains(domains),
        routes=routes,
        include_request_attempt_count=True,
    )


def _first_routes(rules: Iterable[Rule], client: Client, targets: Targets) -> list[Route]:
    """The routes of the best rule that has any for this client."""
    return next((routes for rule in rules if (routes := http_routes(rule, client, targets))), [])


def _looks_up_others(view: ProxyView) -> bool:
    """Whether the mesh says that hosts outside are looked up, and no Sidecar says otherwise."""
    spoken = view.sidecar is not None and view.sidecar.spec.outbound_traffic_policy is not None
    return looks_up_any(view.mesh) and not spoken


def other_hosts(view: ProxyView) -> VirtualHost:
    """Hosts outside the mesh: passed on where the outbound policy allows any, else refused with 502."""
    policy = outbound_policy(view)
    if policy.mode == "REGISTRY_ONLY":
        refuse = Route(
            name=names.BLOCK_ALL,
            match=RouteMatch(prefix="/"),
            direct_response=DirectResponseAction(status=502),
        )
        return VirtualHost(name=names.BLOCK_ALL, domains=["*"], routes=[refuse])
    name, cluster = names.ALLOW_ANY, egress_cluster(view)
    if cluster == names.PASSTHROUGH and _looks_up_others(view):
        name, cluster = names.ALLOW_ANY_DYNAMIC_DNS, names.ALLOW_ANY_DYNAMIC_DNS_CLUSTER
    action = action_within(ZERO)
    action.cluster = cluster
    forward = Route(name=name, match=RouteMatch(prefix="/"), route=action)
    return VirtualHost(name=name, domains=["*"], routes=[forward], include_request_attempt_count=True)
