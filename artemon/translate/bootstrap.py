"""One static bootstrap out of a proxy's resources: everything inline, nothing fetched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.base_pb2 import DataSource, TransportSocket
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.transport_sockets.proxy_protocol.v3.upstream_proxy_protocol_pb2 import (
    ProxyProtocolUpstreamTransport,
)
from envoy.extensions.transport_sockets.tls.v3.common_pb2 import CertificateValidationContext, TlsCertificate
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import SdsSecretConfig, Secret
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import (
    CommonTlsContext,
    DownstreamTlsContext,
    UpstreamTlsContext,
)

from artemon.model.proxy import Proxy
from artemon.translate import names
from artemon.translate.listeners.base import socket_address
from artemon.translate.telemetry.standalone import standalone_listener
from artemon.translate.wire import packed

SYSTEM_ROOTS = "/etc/ssl/certs/ca-certificates.crt"
_FILE_CERTIFICATE, _FILE_ROOT = "file-cert:", "file-root:"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What stands in for the secrets of a proxy, PEM: certificate chain, key and trusted roots."""

    chain: bytes
    key: bytes
    roots: bytes

    def secret(self, name: str) -> Secret:
        """The secret that is asked for by `name`: files stay where they are, all others are these."""
        if name.startswith(_FILE_CERTIFICATE):
            chain, _, key = name.removeprefix(_FILE_CERTIFICATE).partition("~")
            return _certificate(name, DataSource(filename=chain), DataSource(filename=key))
        if name.startswith(_FILE_ROOT):
            path = name.removeprefix(_FILE_ROOT)
            return _roots(name, DataSource(filename=SYSTEM_ROOTS if path == "system" else path))
        if name == names.ROOT_SECRET or name.endswith("-cacert"):
            return _roots(name, DataSource(inline_bytes=self.roots))
        return _certificate(name, DataSource(inline_bytes=self.chain), DataSource(inline_bytes=self.key))


def _certificate(name: str, chain: DataSource, key: DataSource) -> Secret:
    return Secret(name=name, tls_certificate=TlsCertificate(certificate_chain=chain, private_key=key))


def _roots(name: str, roots: DataSource) -> Secret:
    return Secret(name=name, validation_context=CertificateValidationContext(trusted_ca=roots))


def static_bootstrap(
    proxy: Proxy,
    *,
    listeners: Iterable[Listener],
    clusters: Iterable[Cluster],
    routes: Mapping[str, RouteConfiguration],
    endpoints: Mapping[str, ClusterLoadAssignment],
    credentials: Credentials | None,
) -> Bootstrap:
    """A bootstrap that does what the resources do. Its admin port is any that is free, on loopback.

    Raises KeyError with the name of a secret when one is needed and there are no credentials.
    """
    out = Bootstrap()
    out.node.id = proxy.id
    out.node.cluster = f"{proxy.name}.{proxy.namespace}"
    out.admin.address.CopyFrom(socket_address("127.0.0.1", 0))
    needed: dict[str, None] = {}
    for listener in listeners:
        added = out.static_resources.listeners.add()
        added.CopyFrom(standalone_listener(listener))
        for chain in (*added.filter_chains, *([added.default_filter_chain] if _has_default(added) else ())):
            _inline_chain(chain, routes, needed)
    for cluster in clusters:
        target = out.static_resources.clusters.add()
        target.CopyFrom(cluster)
        _inline_cluster(target, endpoints, needed)
    for name in needed:
        if credentials is None:
            raise KeyError(name)
        out.static_resources.secrets.append(credentials.secret(name))
    return out


def _has_default(listener: Listener) -> bool:
    return bool(listener.HasField("default_filter_chain"))


def _inline_chain(
    chain: FilterChain, routes: Mapping[str, RouteConfiguration], needed: dict[str, None]
) -> None:
    if chain.HasField("transport_socket"):
        _inline_socket(chain.transport_socket, needed)
    for one in chain.filters:
        _inline_routes(one, routes)


def _inline_routes(one: Filter, routes: Mapping[str, RouteConfiguration]) -> None:
    manager = HttpConnectionManager()
    if one.typed_config.Is(HttpConnectionManager.DESCRIPTOR):
        one.typed_config.Unpack(manager)
        if manager.WhichOneof("route_specifier") == "rds":
            manager.route_config.CopyFrom(routes[manager.rds.route_config_name])
            one.typed_config.CopyFrom(packed(manager))


def _inline_cluster(
    cluster: Cluster, endpoints: Mapping[str, ClusterLoadAssignment], needed: dict[str, None]
) -> None:
    if cluster.type == Cluster.EDS:
        cluster.type = Cluster.STATIC
        name = cluster.eds_cluster_config.service_name or cluster.name
        cluster.ClearField("eds_cluster_config")
        cluster.load_assignment.CopyFrom(endpoints.get(name, ClusterLoadAssignment(cluster_name=name)))
    if cluster.HasField("transport_socket"):
        _inline_socket(cluster.transport_socket, needed)
    for match in cluster.transport_socket_matches:
        _inline_socket(match.transport_socket, needed)


def _inline_socket(socket: TransportSocket, needed: dict[str, None]) -> None:
    """A secret that is named without a source is one of the bootstrap's own."""
    outer = ProxyProtocolUpstreamTransport()
    if socket.typed_config.Is(outer.DESCRIPTOR):
        socket.typed_config.Unpack(outer)
        _inline_socket(outer.transport_socket, needed)
        socket.typed_config.CopyFrom(packed(outer))
    for kind in (DownstreamTlsContext, UpstreamTlsContext):
        context = kind()
        if socket.typed_config.Is(kind.DESCRIPTOR):
            socket.typed_config.Unpack(context)
            for secret in _secrets(context.common_tls_context):
                secret.ClearField("sds_config")
                needed[secret.name] = None
            socket.typed_config.CopyFrom(packed(context))


def _secrets(common: CommonTlsContext) -> Iterator[SdsSecretConfig]:
    yield from common.tls_certificate_sds_secret_configs
    if common.HasField("combined_validation_context"):
        yield common.combined_validation_context.validation_context_sds_secret_config
    if common.HasField("validation_context_sds_secret_config"):
        yield common.validation_context_sds_secret_config
