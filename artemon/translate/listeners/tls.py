"""TLS as servers speak it: mutual TLS of the mesh, and what a Gateway or Sidecar sets up."""

from __future__ import annotations

from collections.abc import Iterable

from envoy.config.core.v3.base_pb2 import TransportSocket
from envoy.extensions.transport_sockets.tls.v3.common_pb2 import (
    CertificateValidationContext,
    SubjectAltNameMatcher,
    TlsParameters,
)
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import SdsSecretConfig
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import CommonTlsContext, DownstreamTlsContext
from envoy.type.matcher.v3.string_pb2 import StringMatcher

from artemon.model.gateway import ServerTLSSettings
from artemon.model.mesh_config import MeshConfig
from artemon.translate import names
from artemon.translate.sds import (
    credential,
    credential_ca,
    delivered_secret,
    file_certificate,
    file_root,
    workload_secret,
)
from artemon.translate.wire import packed

CIPHERS = frozenset(
    {
        *("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"),
        *("ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384"),
        *("ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305"),
        *("ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA", "ECDHE-RSA-AES256-SHA"),
        *("AES128-GCM-SHA256", "AES256-GCM-SHA384", "AES128-SHA", "AES256-SHA"),
    }
)
"""What Envoy's BoringSSL takes, by OpenSSL's names."""
NAME = "envoy.transport_sockets.tls"
HTTP_ALPN = ("h2", "http/1.1")
TCP_ALPN = ("istio-peer-exchange", "h2", "http/1.1")
VERSIONS = {
    "TLS_AUTO": TlsParameters.TLS_AUTO,
    "TLSV1_0": TlsParameters.TLSv1_0,
    "TLSV1_1": TlsParameters.TLSv1_1,
    "TLSV1_2": TlsParameters.TLSv1_2,
    "TLSV1_3": TlsParameters.TLSv1_3,
}


def mesh_socket(mesh: MeshConfig, trust_domain: str, *, http: bool) -> TransportSocket:
    """Mutual TLS: only certificates of the mesh's trust domains, TLS 1.2 or later."""
    domains = dict.fromkeys((trust_domain, *mesh.trust_domain_aliases))
    common = CommonTlsContext(
        tls_params=_mesh_parameters(mesh),
        tls_certificate_sds_secret_configs=[workload_secret(names.WORKLOAD_SECRET)],
        alpn_protocols=HTTP_ALPN if http else TCP_ALPN,
    )
    validation = common.combined_validation_context
    validation.default_validation_context.CopyFrom(trusted(f"spiffe://{domain}/" for domain in domains))
    validation.validation_context_sds_secret_config.CopyFrom(workload_secret(names.ROOT_SECRET))
    return socket(server(common, client_certificate=True))


def trusted(prefixes: Iterable[str]) -> CertificateValidationContext:
    """Peers with a URI name that begins with one of `prefixes`."""
    out = CertificateValidationContext()
    for prefix in prefixes:
        matcher = StringMatcher(prefix=prefix)
        out.match_typed_subject_alt_names.add(san_type=SubjectAltNameMatcher.URI, matcher=matcher)
    return out


def server(common: CommonTlsContext, *, client_certificate: bool) -> DownstreamTlsContext:
    """A server without session resumption: a resumed session would outlive the client's certificate."""
    out = DownstreamTlsContext(
        common_tls_context=common,
        disable_stateless_session_resumption=True,
        disable_stateful_session_resumption=True,
    )
    out.require_client_certificate.value = client_certificate
    return out


def socket(context: DownstreamTlsContext) -> TransportSocket:
    """The transport socket of a filter chain."""
    return TransportSocket(name=NAME, typed_config=packed(context))


def _mesh_parameters(mesh: MeshConfig) -> TlsParameters:
    wanted = mesh.mesh_mtls
    minimum = wanted.min_protocol_version
    return TlsParameters(
        tls_minimum_protocol_version=VERSIONS["TLSV1_2" if minimum == "TLS_AUTO" else minimum],
        tls_maximum_protocol_version=VERSIONS["TLSV1_3"],
        cipher_suites=known_ciphers(wanted.cipher_suites),
    )


def known_ciphers(written: Iterable[str]) -> list[str]:
    """Those that Envoy knows, each once; it would refuse the whole listener for the others."""
    return [name for name in dict.fromkeys(written) if name in CIPHERS or name == "ALL"]


def gateway_socket(settings: ServerTLSSettings, *, http: bool) -> TransportSocket:
    """TLS with certificates of the user's: by credential name from the control plane, or from files."""
    common = CommonTlsContext(
        tls_params=TlsParameters(
            tls_minimum_protocol_version=VERSIONS[_minimum(settings.min_protocol_version)],
            tls_maximum_protocol_version=VERSIONS[settings.max_protocol_version],
            cipher_suites=known_ciphers(settings.cipher_suites),
        ),
        tls_certificate_sds_secret_configs=_certificates(settings),
        alpn_protocols=HTTP_ALPN if http else (),
    )
    if settings.mode in ("MUTUAL", "OPTIONAL_MUTUAL"):
        _validate(common, settings)
    return socket(server(common, client_certificate=settings.mode == "MUTUAL"))


def sidecar_socket(settings: ServerTLSSettings | None, *, http: bool) -> TransportSocket | None:
    """TLS that a Sidecar's ingress listener terminates with its own files; None when it has none."""
    if settings is None or settings.mode not in ("SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL"):
        return None
    return gateway_socket(settings, http=http)


def _minimum(version: str) -> str:
    return "TLSV1_2" if version == "TLS_AUTO" else version


def _certificates(settings: ServerTLSSettings) -> list[SdsSecretConfig]:
    named = settings.credential_names or ((settings.credential_name,) if settings.credential_name else ())
    if named:
        return [delivered_secret(credential(name)) for name in named]
    pairs = [(one.server_certificate, one.private_key) for one in settings.tls_certificates]
    if not pairs:
        pairs = [(settings.server_certificate, settings.private_key)]
    return [workload_secret(file_certificate(certificate, key)) for certificate, key in pairs]


def _validate(common: CommonTlsContext, settings: ServerTLSSettings) -> None:
    """Whose client certificates are accepted."""
    combined = common.combined_validation_context
    default = combined.default_validation_context
    for name in settings.subject_alt_names:
        for kind in (SubjectAltNameMatcher.URI, SubjectAltNameMatcher.DNS):
            default.match_typed_subject_alt_names.add(san_type=kind, matcher=StringMatcher(exact=name))
    default.verify_certificate_spki.extend(settings.verify_certificate_spki)
    default.verify_certificate_hash.extend(settings.verify_certificate_hash)
    if settings.insecure_skip_verify:
        default.trust_chain_verification = CertificateValidationContext.ACCEPT_UNTRUSTED
    if settings.ca_crl:
        default.crl.filename = settings.ca_crl
    named = settings.credential_name or next(iter(settings.credential_names), "")
    if settings.ca_cert_credential_name or named:
        ca = delivered_secret(credential_ca(settings.ca_cert_credential_name or named))
    else:
        files = (one.ca_certificates for one in settings.tls_certificates)
        ca = workload_secret(file_root(settings.ca_certificates or next(files, "")))
    combined.validation_context_sds_secret_config.CopyFrom(ca)
