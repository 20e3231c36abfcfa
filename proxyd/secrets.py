"""The identity as Envoy's secrets: `default`, its certificate and key, and `ROOTCA`, whom it trusts."""

from __future__ import annotations

from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2

from artemon.daemon.identity_files import Identity
from artemon.xds.resource import Resource
from artemon.xds.types import SECRET

CERTIFICATE = "default"
ROOTS = "ROOTCA"
NAMES = frozenset({CERTIFICATE, ROOTS})


def secrets(identity: Identity) -> dict[str, Resource]:
    """Both secrets. Chain and key travel in one secret, so Envoy never sees halves of two identities."""
    certificate = common_pb2.TlsCertificate(
        certificate_chain=_inline(identity.cert_chain_pem), private_key=_inline(identity.key_pem)
    )
    roots = common_pb2.CertificateValidationContext(trusted_ca=_inline(identity.roots_pem))
    messages = (
        secret_pb2.Secret(name=CERTIFICATE, tls_certificate=certificate),
        secret_pb2.Secret(name=ROOTS, validation_context=roots),
    )
    return {message.name: Resource.of(message.name, SECRET, message) for message in messages}


def _inline(content: bytes) -> base_pb2.DataSource:
    return base_pb2.DataSource(inline_bytes=content)
