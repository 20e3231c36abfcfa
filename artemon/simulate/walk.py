"""One call through the whole configuration: listener, chain, TLS, table, virtual host, route, cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import Route, VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    HttpFilter,
)
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import DownstreamTlsContext

from artemon.simulate import outcome as outcomes
from artemon.simulate.actions import act, connection_target
from artemon.simulate.admission import admit
from artemon.simulate.call import Call, Tls
from artemon.simulate.chains import choose_chain
from artemon.simulate.faults import abort_of
from artemon.simulate.hosts import choose_host
from artemon.simulate.listener import choose_listener
from artemon.simulate.outcome import Outcome, Step, Stopped, Target
from artemon.simulate.rbac import Subject
from artemon.simulate.request import Request, request_of
from artemon.simulate.routes import choose_route, depends_on_chance
from artemon.simulate.subject import subject_of
from artemon.translate import names


@dataclass(frozen=True, slots=True)
class Configuration:
    """What one proxy has been given, by name. clusters: None when they are not known, and none is missed."""

    listeners: Mapping[str, Listener]
    routes: Mapping[str, RouteConfiguration] = field(default_factory=dict)
    clusters: Mapping[str, Cluster] | None = None


def simulate(configuration: Configuration, call: Call) -> Outcome:
    """What Envoy does with a call that begins with an empty state: no limits reached, nothing ejected."""
    walk = _Walk(configuration, call)
    try:
        walk.run()
    except Stopped as stop:
        walk.note(error=stop.error, response=stop.response)
        if stop.why:
            walk.step(Step("end", stop.error, stop.why))
    return walk.outcome


class _Walk:
    """The outcome so far."""

    def __init__(self, configuration: Configuration, call: Call) -> None:
        self._configuration = configuration
        self._call = call
        self.outcome = Outcome()

    def note(self, **found: object) -> None:
        self.outcome = replace(self.outcome, **found)  # type: ignore[arg-type]

    def step(self, step: Step) -> None:
        self.outcome = replace(self.outcome, steps=(*self.outcome.steps, step))

    def run(self) -> None:
        listener, step = choose_listener(self._configuration.listeners, self._call)
        self.step(step)
        self.note(listener=listener.name or None)
        chain, step = choose_chain(listener, self._call)
        self.step(step)
        self.note(filter_chain=chain.name or None)
        terminated = _terminate(chain, self._call)
        manager, proxy = _last_filter(chain)
        if manager is not None:
            self._http(manager, terminated=terminated)
        elif proxy is not None:
            subject = subject_of(self._call, terminated=terminated)
            self._admit(chain.filters, subject, {"connection": "closed"})
            self._forward(connection_target(proxy), {"connection": "closed"})

    def _http(self, manager: HttpConnectionManager, *, terminated: bool) -> None:
        call = self._call
        if not call.is_http or (call.is_encrypted and not terminated):
            spoken = "TLS" if call.is_encrypted and not terminated else "no HTTP"
            why = f"the chain reads HTTP, and the call begins with {spoken}"
            raise Stopped(outcomes.PROTOCOL, {"connection": "closed"}, why=why)
        request = request_of(call, manager)
        subject = subject_of(call, terminated=terminated, request=request, manager=manager)
        self._admit(manager.http_filters, subject, {"status": 403})
        host, step = choose_host(self._table(manager), request.authority)
        self.step(step)
        self.note(virtual_host=host.name)
        _require_tls(host, request)
        route, step = choose_route(host, request)
        self.step(step)
        owner = route.metadata.filter_metadata["istio"].fields["config"].string_value
        chance = depends_on_chance(host, request)
        self.note(route=route.name or None, owner=owner or None, strict=not chance)
        deed = act(route, request)
        if deed.cluster is None:
            self.note(response=deed.response)
            return
        self._forward(deed.cluster, {"status": 503})
        self._abort(route)

    def _abort(self, route: Route) -> None:
        """Where a fault answers in the place of the cluster."""
        abort = abort_of(route)
        if abort is None:
            return
        told = ", ".join(f"{name} {value}" for name, value in abort.response.items())
        self.step(
            Step("fault", "abort", f"answers {100 * abort.share:.4g}% of all requests by itself: {told}")
        )
        if abort.share < 1:
            self.note(strict=False)
        else:
            self.note(response=abort.response)

    def _admit(
        self, filters: Iterable[HttpFilter | Filter], subject: Subject, without: Mapping[str, object]
    ) -> None:
        """Past the policies; `without`: what the client notices that they refuse."""
        verdict = admit(filters, subject)
        self.note(verdict=verdict)
        if verdict.asked or not verdict.allowed:
            self.step(Step("policy", verdict.policy, verdict.reason))
        if not verdict.allowed:
            raise Stopped(outcomes.DENIED, {**without, **verdict.response}, why=verdict.reason)

    def _table(self, manager: HttpConnectionManager) -> RouteConfiguration:
        if manager.WhichOneof("route_specifier") != "rds":
            return manager.route_config
        name = manager.rds.route_config_name
        self.note(route_config=name)
        table = self._configuration.routes.get(name)
        if table is None:
            raise Stopped(outcomes.NO_VIRTUAL_HOST, {"status": 404}, why=f"there are no routes called {name}")
        return table

    def _forward(self, target: Target, without: Mapping[str, object]) -> None:
        """Passed on; `without`: what the client notices where the cluster leads nowhere."""
        if isinstance(target, str):
            self.note(cluster=target)
            reason = self._dead_end(target)
            if reason:
                self.note(response=without)
            self.step(Step("cluster", target, reason or f"the only one{self._way(target)}"))
            return
        total = sum(target.values())
        if not total:
            raise Stopped(outcomes.NO_ROUTE, without, why="no cluster has a weight")
        self.note(cluster=target, strict=False)
        for name, weight in target.items():
            self.step(Step("cluster", name, f"{weight / total:.1%}" + self._suffix(name)))

    def _suffix(self, name: str) -> str:
        reason = self._dead_end(name)
        return f"; {reason}" if reason else self._way(name)

    def _way(self, cluster: str) -> str:
        """Through which egress gateway it leads, "" for none."""
        found = (self._configuration.clusters or {}).get(cluster)
        gateway = _egress_gateway(found) if found is not None else ""
        return f", by way of egress gateway {gateway}" if gateway else ""

    def _dead_end(self, cluster: str) -> str:
        """Why nothing answers there, "" when something may."""
        known = self._configuration.clusters
        if cluster == names.BLACK_HOLE:
            return "nothing is behind it: the call is refused"
        if known is not None and cluster not in known:
            return "there is no such cluster: no service in sight has that host, port and subset"
        found = (known or {}).get(cluster)
        if found is not None and found.type == Cluster.STATIC and _egress_gateway(found):
            return f"no Gateway {_egress_gateway(found)} lets it out by mutual TLS: nothing answers there"
        return ""


def _egress_gateway(cluster: Cluster) -> str:
    return str(cluster.metadata.filter_metadata["istio"].fields["egress_gateway"].string_value)


def _terminate(chain: FilterChain, call: Call) -> bool:
    """Whether TLS ends here. Raises Stopped when client and server do not agree on TLS."""
    if not chain.HasField("transport_socket"):
        return False
    if not call.is_encrypted:
        why = "the chain expects TLS, and the call is plaintext"
        raise Stopped(outcomes.PLAINTEXT_FOR_TLS, {"connection": "closed"}, why=why)
    if is_mesh_tls(chain) != (call.tls is Tls.MTLS):
        why = "the chain speaks mutual TLS of the mesh, the call other TLS"
        if call.tls is Tls.MTLS:
            why = "the call speaks mutual TLS of the mesh, the chain shows another certificate"
        raise Stopped(outcomes.WRONG_TLS, {"connection": "closed"}, why=why)
    return True


def is_mesh_tls(chain: FilterChain) -> bool:
    """Whether the server shows its workload's certificate, which only clients of the mesh take and answer."""
    context = DownstreamTlsContext()
    chain.transport_socket.typed_config.Unpack(context)
    own = context.common_tls_context.tls_certificate_sds_secret_configs
    return bool(own) and own[0].name == names.WORKLOAD_SECRET


def _last_filter(chain: FilterChain) -> tuple[HttpConnectionManager | None, TcpProxy | None]:
    """What ends the chain: filters before it only look, or refuse."""
    for one in reversed(chain.filters):
        manager, proxy = HttpConnectionManager(), TcpProxy()
        if one.typed_config.Unpack(manager):
            return manager, None
        if one.typed_config.Unpack(proxy):
            return None, proxy
    return None, None


def _require_tls(host: VirtualHost, request: Request) -> None:
    if host.require_tls != VirtualHost.NONE and request.headers["x-forwarded-proto"] != "https":
        location = f"https://{request.authority}{request.headers[':path']}"
        response = {"status": 301, "location": location}
        raise Stopped(outcomes.TLS_REQUIRED, response, why="the virtual host asks for TLS")
