"""What stays as the mesh made it: mutual TLS, and the filters that authenticate and authorize."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.base_pb2 import TransportSocket
from envoy.config.listener.v3.listener_components_pb2 import FilterChain
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.transport_sockets.proxy_protocol.v3.upstream_proxy_protocol_pb2 import (
    ProxyProtocolUpstreamTransport,
)
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import DownstreamTlsContext, UpstreamTlsContext
from google.protobuf.message import Message

from artemon.translate import names
from artemon.translate.patches.listeners import chains_of, managers_of
from artemon.translate.patches.match import OUTBOUND

_FILTERS = ("http.rbac", "http.jwt_authn", "http.ext_authz", "network.rbac", "network.ext_authz")
_NAMES = tuple(f"envoy.filters.{name}" for name in _FILTERS)
_KINDS = tuple(f"envoy.extensions.filters.{name}.v3." for name in _FILTERS)

SOCKET = "mutual TLS of the mesh must stay as it is"
FILTERS = "the mesh's filters that authenticate and authorize must stay, unchanged and in their order"
CHAINS = "a new filter chain would let connections around mutual TLS or authorization"
PER_ROUTE = "routes must not change the filters that authenticate and authorize"


def is_mesh_socket(socket: TransportSocket) -> bool:
    """Whether it shows the workload's own certificate."""
    outer = ProxyProtocolUpstreamTransport()
    if socket.typed_config.Unpack(outer):
        return is_mesh_socket(outer.transport_socket)
    for kind in (DownstreamTlsContext, UpstreamTlsContext):
        context = kind()
        if socket.typed_config.Is(kind.DESCRIPTOR) and socket.typed_config.Unpack(context):
            shown = context.common_tls_context.tls_certificate_sds_secret_configs
            return any(one.name == names.WORKLOAD_SECRET for one in shown)
    return False


def cluster_guard(cluster: Cluster) -> bytes | None:
    """What of a cluster must stay: its transport sockets where one is the mesh's."""
    sockets = [one.transport_socket for one in cluster.transport_socket_matches]
    if not any(map(is_mesh_socket, [cluster.transport_socket, *sockets])):
        return None
    own = Cluster(
        transport_socket=cluster.transport_socket,
        transport_socket_matches=cluster.transport_socket_matches,
        transport_socket_matcher=cluster.transport_socket_matcher,
    )
    return _bytes(own)


def cluster_objection(before: bytes | None, after: Cluster) -> str | None:
    """Why the cluster may not become `after`."""
    return SOCKET if before is not None and cluster_guard(after) != before else None


@dataclass(frozen=True, slots=True)
class ChainGuard:
    """What of a filter chain must stay. condition: which connections it takes, port: one port of them, or 0.
    socket: None when it is not the mesh's. filters: those that authenticate and authorize, in order."""

    condition: bytes
    port: int
    socket: bytes | None
    filters: tuple[bytes, ...]

    def kept_in(self, other: ChainGuard) -> bool:
        """Whether `other` is the same chain, with nothing lost."""
        rest = iter(other.filters)
        same = (self.condition, self.socket) == (other.condition, other.socket)
        return same and all(one in rest for one in self.filters)


@dataclass(frozen=True, slots=True)
class ListenerGuard:
    """What of a listener must stay. per_route: settings of such filters in routes that are written in it."""

    chains: tuple[ChainGuard, ...]
    per_route: tuple[bytes, ...]

    @property
    def holds(self) -> bool:
        """Whether there is anything that must stay."""
        return any(one.socket is not None or one.filters for one in self.chains)


def listener_guard(listener: Listener, *, context: str) -> ListenerGuard:
    """The facts of a listener."""
    chains = list(chains_of(listener))
    default = listener.HasField("default_filter_chain")
    found = [_chain(one, b"default" if default and one is chains[-1] else None) for one in chains]
    routes = [
        manager.route_config
        for chain in chains
        for _, manager in managers_of(chain)
        if manager.HasField("route_config")
    ]
    settings = (one for each in routes for one in routes_guard(each, context=context))
    return ListenerGuard(tuple(found), tuple(settings))


def _chain(chain: FilterChain, condition: bytes | None) -> ChainGuard:
    filters = [_bytes(one) for one in chain.filters if _guarded(one.name, one.typed_config.type_url)]
    for _, manager in managers_of(chain):
        filters += [
            _bytes(one) for one in manager.http_filters if _guarded(one.name, one.typed_config.type_url)
        ]
    mesh = chain.HasField("transport_socket") and is_mesh_socket(chain.transport_socket)
    return ChainGuard(
        condition=_bytes(chain.filter_chain_match) if condition is None else condition,
        port=chain.filter_chain_match.destination_port.value,
        socket=_bytes(chain.transport_socket) if mesh else None,
        filters=tuple(filters),
    )


def _guarded(name: str, type_url: str) -> bool:
    return name.startswith(_NAMES) or type_url.rpartition("/")[2].startswith(_KINDS)


def listener_objection(before: ListenerGuard, listener: Listener, *, context: str) -> str | None:
    """Why a listener with these facts may not become `listener`."""
    after = listener_guard(listener, context=context)
    left = list(after.chains)
    for chain in before.chains:
        if chain.socket is None and not chain.filters:
            continue
        kept = next((one for one in left if chain.kept_in(one)), None)
        if kept is None:
            return FILTERS if any(one.socket == chain.socket for one in left) and chain.filters else SOCKET
        left.remove(kept)
    if _adds_a_way_around(before.chains, left):
        return CHAINS
    return PER_ROUTE if Counter(after.per_route) != Counter(before.per_route) else None


def _adds_a_way_around(before: Sequence[ChainGuard], left: Iterable[ChainGuard]) -> bool:
    """Chains for connections that were told apart otherwise. Where anyone may speak plaintext to what nobody
    authorizes, there is nothing to get around."""
    open_ports = {one.port for one in before if one.socket is None}
    strict = any(one.socket is not None and one.port not in open_ports for one in before)
    conditions = {one.condition for one in before}
    guarded = strict or any(one.filters for one in before)
    return guarded and any(one.condition not in conditions for one in left)


def routes_guard(config: RouteConfiguration, *, context: str) -> tuple[bytes, ...]:
    """Settings of filters that authenticate and authorize, by route. Outbound there are none of the mesh."""
    return () if context == OUTBOUND else tuple(_per_route(config))


def _per_route(config: RouteConfiguration) -> Iterator[bytes]:
    holders: list[Message] = [config]
    for host in config.virtual_hosts:
        holders.append(host)
        for route in host.routes:
            holders += [route, *route.route.weighted_clusters.clusters]
    for holder in holders:
        settings = holder.typed_per_filter_config  # type: ignore[attr-defined]
        for name in sorted(settings):
            if _guarded(name, settings[name].type_url):
                yield name.encode() + _bytes(settings[name])


def routes_objection(before: tuple[bytes, ...], config: RouteConfiguration, *, context: str) -> str | None:
    """Why a route configuration with these settings may not become `config`."""
    return PER_ROUTE if Counter(routes_guard(config, context=context)) != Counter(before) else None


def _bytes(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)
