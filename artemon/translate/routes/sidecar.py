"""Route configurations of sidecars: a virtual host for every service that can be asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from envoy.config.route.v3.route_components_pb2 import (
    DirectResponseAction,
    Route,
    RouteMatch,
    VirtualHost,
)
from envoy.config.route.v3.route_pb2 import RouteConfiguration

from artemon.model.hosts import covers
from artemon.snapshot.view import ProxyView
from artemon.translate import names
from artemon.translate.egress import (
    Offer,
    RouteTable,
    egress_cluster,
    outbound_policy,
    virtual_addresses,
)
from artemon.translate.routes.action import action_within
from artemon.translate.routes.http import default_route, http_routes
from artemon.translate.routes.rules import Rule, Rules
from artemon.translate.routes.scope import Client, Targets
from artemon.translate.wire import ZERO


def route_configuration(
    view: ProxyView, table: RouteTable, *, rules: Rules, targets: Targets
) -> RouteConfiguration:
    """The hosts of one table, in the order of services, and at last what happens to any other host."""
    out = RouteConfiguration(name=table.name, ignore_port_in_host_matching=not table.with_ports)
    out.validate_clusters.value = False
    domains = Domains()
    for host in _hosts(view, table, rules=rules, targets=targets):
        unclaimed = domains.claim(host.domains)
        if unclaimed:
            del host.domains[:]
            host.domains.extend(unclaimed)
            out.virtual_hosts.append(host)
    if table.sole and len(out.virtual_hosts) == 1:
        out.virtual_hosts[0].domains[:] = ["*"]
    else:
        out.virtual_hosts.append(other_hosts(view))
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


def _hosts(view: ProxyView, table: RouteTable, *, rules: Rules, targets: Targets) -> Iterator[VirtualHost]:
    for offer in table.offers:
        yield _service_host(view, offer, table, rules=rules, targets=targets)
    if table.others:
        for host in rules.hosts():
            if not any(covers(host, known) for known in view.services):
                found = _rule_host(view, host, table, rules=rules, targets=targets)
                if found is not None:
                    yield found


def _service_host(
    view: ProxyView, offer: Offer, table: RouteTable, *, rules: Rules, targets: Targets
) -> VirtualHost:
    service, port = offer
    client = _client(view, port.number)
    routes = _first_routes(rules.for_host(service.host), client, targets)
    domains = names.service_domains(service.host, view.proxy.dns_domain, virtual_addresses(service))
    return VirtualHost(
        name=names.virtual_host(service.host, port.number),
        domains=_with_port(domains, port.number) if table.with_ports else domains,
        routes=routes or [default_route(service.host, client, targets)],
        include_request_attempt_count=True,
    )


def _rule_host(
    view: ProxyView, host: str, table: RouteTable, *, rules: Rules, targets: Targets
) -> VirtualHost | None:
    """A host that only rules know; it can be asked for on port 80."""
    routes = _first_routes(rules.for_host(host), _client(view, 80), targets)
    if not routes:
        return None
    domains = names.service_domains(host, view.proxy.dns_domain) if not host.startswith("*") else (host,)
    return VirtualHost(
        name=names.virtual_host(host, 80),
        domains=_with_port(domains, 80) if table.with_ports else domains,
        routes=routes,
        include_request_attempt_count=True,
    )


def _first_routes(rules: Iterable[Rule], client: Client, targets: Targets) -> list[Route]:
    """The routes of the best rule that has any for this client."""
    return next((routes for rule in rules if (routes := http_routes(rule, client, targets))), [])


def _client(view: ProxyView, port: int) -> Client:
    return Client(port=port, namespace=view.proxy.namespace, labels=view.proxy.labels)


def _with_port(domains: Iterable[str], port: int) -> list[str]:
    """As clients of an HTTP proxy write them: the port may be left out only where it is 80."""
    bare = list(domains)
    return (bare if port == 80 else []) + [f"{domain}:{port}" for domain in bare]


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
    action = action_within(ZERO)
    action.cluster = egress_cluster(view)
    forward = Route(name=names.ALLOW_ANY, match=RouteMatch(prefix="/"), route=action)
    return VirtualHost(
        name=names.ALLOW_ANY, domains=["*"], routes=[forward], include_request_attempt_count=True
    )
