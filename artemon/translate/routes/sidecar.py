"""Route configurations of sidecars: a virtual host for every service that can be asked for."""

from __future__ import annotations

from collections.abc import Iterable

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
from artemon.translate.dynamic_dns import looks_up_any
from artemon.translate.egress import RouteTable, egress_cluster, outbound_policy, route_tables
from artemon.translate.routes.action import action_within
from artemon.translate.routes.hosts import Host, Surroundings, rule_host, service_host
from artemon.translate.routes.rules import Rules
from artemon.translate.telemetry.marks import SPACE, around_mark
from artemon.translate.wire import ZERO


class Tables:
    """The route configurations of clients with the same services, kept from one set of rules to the next:
    only virtual hosts whose rules changed are made anew. `bodies` is for views of what this was made with."""

    def __init__(self, *_: object) -> None:
        self._rules: Rules | None = None
        self._tables: list[_Table] = []

    def bodies(self, around: Surroundings) -> dict[str, bytes]:
        """Every RouteConfiguration, serialized, by name."""
        changed = around.rules.changed_since(self._rules) if self._rules is not None else None
        if changed is None:
            self._tables = [_Table(table, around) for table in route_tables(around.view).values()]
        else:
            for table in self._tables:
                table.renew(changed, around)
        self._rules = around.rules
        return {table.name: table.body(around) for table in self._tables}


class _Table:
    """The hosts of one table, in the order of services. A domain is given away once, to the first."""

    def __init__(self, table: RouteTable, around: Surroundings) -> None:
        self.name = table.name
        self._table = table
        self._hosts = [service_host(offer, table, around) for offer in table.offers]
        self._positions: dict[str, list[int]] = {}
        for position, (service, _) in enumerate(table.offers):
            self._positions.setdefault(service.host, []).append(position)
        self._taken = {"*"}
        self._free = [_claim(self._taken, host) for host in self._hosts]
        self._pieces = [host.among(free) for host, free in zip(self._hosts, self._free, strict=True)]

    def renew(self, changed: Iterable[str], around: Surroundings) -> None:
        """The rules of these hosts are others than before."""
        for position in (position for host in changed for position in self._positions.get(host, ())):
            host = service_host(self._table.offers[position], self._table, around)
            self._hosts[position] = host
            # Domains are a matter of the service alone; the same tuple says that all of them are its own.
            whole = len(self._free[position]) == len(host.domains)
            self._free[position] = host.domains if whole else self._free[position]
            self._pieces[position] = host.among(self._free[position])

    def body(self, around: Surroundings) -> bytes:
        """All of it, and at last what happens to any other host."""
        table = self._table
        head = RouteConfiguration(name=table.name, ignore_port_in_host_matching=not table.with_ports)
        head.validate_clusters.value = False
        others, rest = self._others(around), RouteConfiguration()
        pieces = [*self._pieces, *others]
        only = self._only() if table.sole and not others else None
        if only is not None:
            pieces = [only.among(("*",))]
        else:
            rest.virtual_hosts.append(other_hosts(around.view))
        return b"".join((head.SerializeToString(), *pieces, rest.SerializeToString(deterministic=True)))

    def _only(self) -> Host | None:
        """The host of the table that has but one."""
        chosen = [host for host, piece in zip(self._hosts, self._pieces, strict=True) if piece]
        return chosen[0] if len(chosen) == 1 else None

    def _others(self, around: Surroundings) -> list[bytes]:
        """Hosts that only rules know."""
        if not self._table.others:
            return []
        services = around.view.services
        names = [name for name in around.rules.hosts() if name not in services]
        taken, found = set(self._taken) if names else set[str](), []
        for name in names:
            host = rule_host(name, self._table, around) if _is_unknown(name, around.view) else None
            if host is not None:
                found.append(host.among(_claim(taken, host)))
        return found


def _claim(taken: set[str], host: Host) -> tuple[str, ...]:
    """The domains of a host that are still free, now taken; its own tuple if all are."""
    free = host.domains
    if not taken.isdisjoint(free):
        free = tuple(domain for domain in free if domain not in taken)
    taken.update(free)
    return free


def _is_unknown(host: str, view: ProxyView) -> bool:
    """Whether no service has a host that the rule's host covers."""
    if not host.startswith("*"):
        return host not in view.services
    return not any(covers(host, known) for known in view.services)


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
        return _marked(VirtualHost(name=names.BLOCK_ALL, domains=["*"], routes=[refuse]), names.BLACK_HOLE)
    name, cluster = names.ALLOW_ANY, egress_cluster(view)
    if cluster == names.PASSTHROUGH and _looks_up_others(view):
        name, cluster = names.ALLOW_ANY_DYNAMIC_DNS, names.ALLOW_ANY_DYNAMIC_DNS_CLUSTER
    action = action_within(ZERO)
    action.cluster = cluster
    forward = Route(name=name, match=RouteMatch(prefix="/"), route=action)
    out = VirtualHost(name=name, domains=["*"], routes=[forward], include_request_attempt_count=True)
    return _marked(out, names.PASSTHROUGH)


def _marked(host: VirtualHost, cluster: str) -> VirtualHost:
    host.metadata.filter_metadata[SPACE].CopyFrom(around_mark(cluster))
    return host
