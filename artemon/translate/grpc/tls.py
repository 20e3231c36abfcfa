"""TLS of gRPC (gRFC A29): certificates come from the provider `default` of the client's own bootstrap."""

from __future__ import annotations

from collections.abc import Iterable

from envoy.config.core.v3.base_pb2 import TransportSocket
from envoy.extensions.transport_sockets.tls.v3.common_pb2 import CertificateProviderPluginInstance
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import (
    CommonTlsContext,
    DownstreamTlsContext,
    UpstreamTlsContext,
)

from artemon.translate import names
from artemon.translate.cluster_tls import TLS
from artemon.translate.wire import packed

PROVIDER = "default"
"""The certificate provider that bootstraps for gRPC have, in Istio as here."""
MUTUAL = "ISTIO_MUTUAL"
FOLLOWED_MODES = frozenset({"DISABLE", MUTUAL})
"""The TLS modes of a DestinationRule that gRPC can follow; others need files or roots of their own."""


def client_socket(identities: Iterable[str]) -> TransportSocket:
    """Mutual TLS with the workload's certificate to a server with one of `identities`; none: any that the
    mesh's roots vouch for."""
    common = _common()
    validation = common.combined_validation_context.default_validation_context
    for identity in identities:
        validation.match_subject_alt_names.add(exact=identity)
    return TransportSocket(name=TLS, typed_config=packed(UpstreamTlsContext(common_tls_context=common)))


def server_socket() -> TransportSocket:
    """Mutual TLS with clients of the mesh alone."""
    context = DownstreamTlsContext(common_tls_context=_common())
    context.require_client_certificate.value = True
    return TransportSocket(name=TLS, typed_config=packed(context))


def _common() -> CommonTlsContext:
    common = CommonTlsContext(
        tls_certificate_provider_instance=CertificateProviderPluginInstance(
            instance_name=PROVIDER, certificate_name=names.WORKLOAD_SECRET
        )
    )
    roots = CertificateProviderPluginInstance(instance_name=PROVIDER, certificate_name=names.ROOT_SECRET)
    validation = common.combined_validation_context.default_validation_context
    validation.ca_certificate_provider_instance.CopyFrom(roots)
    return common
