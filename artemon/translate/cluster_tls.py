"""TLS as clients speak it: what a DestinationRule asks for, or mutual TLS wherever the instance has it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.base_pb2 import TransportSocket
from envoy.config.core.v3.protocol_pb2 import UpstreamHttpProtocolOptions
from envoy.config.core.v3.proxy_protocol_pb2 import ProxyProtocolConfig
from envoy.extensions.transport_sockets.proxy_protocol.v3.upstream_proxy_protocol_pb2 import (
    ProxyProtocolUpstreamTransport,
)
from envoy.extensions.transport_sockets.raw_buffer.v3.raw_buffer_pb2 import RawBuffer
from envoy.extensions.transport_sockets.tls.v3.common_pb2 import SubjectAltNameMatcher, TlsParameters
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import SdsSecretConfig
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import CommonTlsContext, UpstreamTlsContext
from envoy.type.matcher.v3.string_pb2 import StringMatcher

from artemon.model.destination_rule import ClientTLSSettings, TrafficPolicyProxyProtocol
from artemon.model.mesh_config import MeshConfig
from artemon.model.service import Endpoint, Protocol, Service
from artemon.translate import names
from artemon.translate.sds import (
    credential,
    credential_ca,
    delivered_secret,
    file_certificate,
    file_root,
    workload_secret,
)
from artemon.translate.wire import packed, struct

TLS = "envoy.transport_sockets.tls"
RAW = "envoy.transport_sockets.raw_buffer"
PROXY = "envoy.transport_sockets.upstream_proxy_protocol"
MESH_ALPN = ("istio-peer-exchange", "istio")
MESH_ALPN_HTTP2 = ("istio-peer-exchange", "istio", "h2")
SYSTEM_ROOTS = "file-root:system"

TlsMode = str
_VERSIONS = {"TLSV1_2": TlsParameters.TLSv1_2, "TLSV1_3": TlsParameters.TLSv1_3}


@dataclass(frozen=True, slots=True)
class Identities:
    """Whom a client of the mesh takes for a service: SPIFFE ids; without any, whoever is of the mesh."""

    ids: tuple[str, ...]
    trust_domains: tuple[str, ...]


def identities(service: Service, endpoints: Iterable[Endpoint], mesh: MeshConfig) -> Identities:
    """The identities of a service's instances, or of the gateway's that it is reached through, and the names
    that its ServiceEntry adds."""
    domains = tuple(dict.fromkeys((mesh.trust_domain, *mesh.trust_domain_aliases)))
    through = service.egress is not None and not service.egress.here
    known = (one for one in endpoints if one.service_account and (one.mtls or through))
    accounts = {(one.namespace, one.service_account) for one in known}
    ids = {f"spiffe://{domain}/ns/{space}/sa/{account}" for domain in domains for space, account in accounts}
    extra = () if service.mesh_external else service.subject_alt_names
    return Identities(tuple(sorted({*ids, *extra})), domains)


def secure(
    cluster: Cluster,
    settings: ClientTLSSettings | None,
    *,
    service: Service,
    sni: str,
    peers: Identities,
    mesh: MeshConfig,
    http2: bool,
) -> None:
    """Give the cluster its transport. Nothing written means mutual TLS to the instances that have it, if
    the mesh wants that; DISABLE means none."""
    if settings is None:
        if _is_automatic(cluster, service, mesh):
            _match_endpoints(cluster, mesh_socket(peers, sni, mesh, http2=http2))
        return
    if settings.mode == "ISTIO_MUTUAL":
        if settings.subject_alt_names:
            peers = Identities(settings.subject_alt_names, ())
        cluster.transport_socket.CopyFrom(mesh_socket(peers, settings.sni or sni, mesh, http2=http2))
    elif settings.mode != "DISABLE":
        cluster.transport_socket.CopyFrom(_socket(_simple(settings, service, mesh, http2=http2)))


def _is_automatic(cluster: Cluster, service: Service, mesh: MeshConfig) -> bool:
    wanted = mesh.enable_auto_mtls is not False and not service.mesh_external
    looked_up = cluster.HasField("cluster_type")
    return wanted and cluster.type != Cluster.ORIGINAL_DST and not looked_up


def _match_endpoints(cluster: Cluster, tls: TransportSocket) -> None:
    raw = TransportSocket(name=RAW, typed_config=packed(RawBuffer()))
    istio = cluster.transport_socket_matches.add(name="tlsMode-istio", match=struct({"tlsMode": "istio"}))
    istio.transport_socket.CopyFrom(tls)
    disabled = cluster.transport_socket_matches.add(name="tlsMode-disabled", match=struct({}))
    disabled.transport_socket.CopyFrom(raw)


def mesh_socket(peers: Identities, sni: str, mesh: MeshConfig, *, http2: bool) -> TransportSocket:
    """Mutual TLS with the workload's own certificate."""
    common = CommonTlsContext(
        tls_params=_mesh_parameters(mesh),
        tls_certificate_sds_secret_configs=[workload_secret(names.WORKLOAD_SECRET)],
        alpn_protocols=MESH_ALPN_HTTP2 if http2 else MESH_ALPN,
    )
    _validate(common, workload_secret(names.ROOT_SECRET), peers.ids, peers.trust_domains)
    return _socket(_client(common, sni))


def _mesh_parameters(mesh: MeshConfig) -> TlsParameters:
    minimum = _VERSIONS.get(mesh.mesh_mtls.min_protocol_version, TlsParameters.TLSv1_3)
    return TlsParameters(
        tls_minimum_protocol_version=minimum, tls_maximum_protocol_version=TlsParameters.TLSv1_3
    )


def _client(common: CommonTlsContext, sni: str) -> UpstreamTlsContext:
    """A client that never resumes a session: each handshake checks the server's certificate anew."""
    context = UpstreamTlsContext(common_tls_context=common, sni=sni)
    context.max_session_keys.value = 0
    return context


def _socket(context: UpstreamTlsContext) -> TransportSocket:
    return TransportSocket(name=TLS, typed_config=packed(context))


def _validate(
    common: CommonTlsContext, roots: SdsSecretConfig, exact: Iterable[str], domains: Iterable[str]
) -> None:
    """Check the server against `roots` and its URI or DNS name; without exact names, its trust domain."""
    validation = common.combined_validation_context
    validation.validation_context_sds_secret_config.CopyFrom(roots)
    matchers = [StringMatcher(exact=name) for name in exact]
    matchers = matchers or [StringMatcher(prefix=f"spiffe://{domain}/") for domain in domains]
    default = validation.default_validation_context
    default.SetInParent()
    for matcher in matchers:
        name = matcher.exact or matcher.prefix
        kind = SubjectAltNameMatcher.URI if "://" in name else SubjectAltNameMatcher.DNS
        default.match_typed_subject_alt_names.add(san_type=kind, matcher=matcher)


def _simple(
    settings: ClientTLSSettings, service: Service, mesh: MeshConfig, *, http2: bool
) -> UpstreamTlsContext:
    """TLS as the DestinationRule describes it: SIMPLE, or MUTUAL with a client certificate."""
    common = CommonTlsContext(alpn_protocols=("h2",) if http2 else ())
    if settings.mode == "MUTUAL":
        common.tls_certificate_sds_secret_configs.append(_certificate(settings))
    roots = _roots(settings, mesh)
    if roots is not None:
        expected = settings.subject_alt_names or service.subject_alt_names
        _validate(common, roots, expected, ())
        if settings.ca_crl:
            revoked = common.combined_validation_context.default_validation_context.crl
            revoked.filename = settings.ca_crl
    return _client(common, settings.sni)


def _certificate(settings: ClientTLSSettings) -> SdsSecretConfig:
    if settings.credential_name:
        return delivered_secret(credential(settings.credential_name))
    return workload_secret(file_certificate(settings.client_certificate, settings.private_key))


def _roots(settings: ClientTLSSettings, mesh: MeshConfig) -> SdsSecretConfig | None:
    """Whom to trust: what is written, else the machine's own roots; None where checking is switched off."""
    if settings.insecure_skip_verify:
        return None
    if settings.credential_name:
        return delivered_secret(credential_ca(settings.credential_name))
    if settings.ca_certificates:
        return workload_secret(file_root(settings.ca_certificates))
    return None if mesh.verify_certificate_at_client is False else workload_secret(SYSTEM_ROOTS)


def introduce(cluster: Cluster, settings: TrafficPolicyProxyProtocol | None) -> None:
    """Tell the server who the client is, by a PROXY header before anything else, TLS too."""
    if settings is None:
        return
    matches = [one.transport_socket for one in cluster.transport_socket_matches]
    if not matches and not cluster.HasField("transport_socket"):
        cluster.transport_socket.CopyFrom(TransportSocket(name=RAW, typed_config=packed(RawBuffer())))
    for socket in matches or [cluster.transport_socket]:
        version = ProxyProtocolConfig.Version.Value(settings.version)
        outer = ProxyProtocolUpstreamTransport(config=ProxyProtocolConfig(version=version))
        outer.transport_socket.CopyFrom(socket)
        socket.CopyFrom(TransportSocket(name=PROXY, typed_config=packed(outer)))


def sni_from_request(
    settings: ClientTLSSettings | None, service: Service, protocol: Protocol
) -> UpstreamHttpProtocolOptions | None:
    """TLS to the outside names the server as the request does, where the rule names none."""
    if settings is None or settings.mode not in ("SIMPLE", "MUTUAL") or settings.sni:
        return None
    if not (protocol.is_http or protocol is Protocol.AUTO):
        return None
    named = bool(settings.subject_alt_names or service.subject_alt_names or settings.insecure_skip_verify)
    return UpstreamHttpProtocolOptions(auto_sni=True, auto_san_validation=not named)
