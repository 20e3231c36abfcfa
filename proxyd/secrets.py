"""The identity as Envoy's secrets: `default`, its certificate and key, and `ROOTCA`, whom it trusts."""

from __future__ import annotations

from datetime import datetime

from cryptography import x509
from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2

from artemon.daemon.identity_files import Identity
from artemon.pki.certificate import chain_pem, load_certificates
from artemon.pki.revocation import is_overdue
from artemon.xds.resource import Resource
from artemon.xds.types import SECRET

CERTIFICATE = "default"
ROOTS = "ROOTCA"
NAMES = frozenset({CERTIFICATE, ROOTS})
_END = b"-----END X509 CRL-----"


def secrets(
    identity: Identity, told: Resource | None, *, certain: bool, now: datetime
) -> dict[str, Resource]:
    """Both secrets. Chain and key travel in one secret, so Envoy never sees halves of two identities.

    told: whom to trust, and revocation lists, as pilotd says. certain: whether it says so now; else the roots
    that the identity came with are trusted beside them. Lists that are all overdue are left out: nothing that
    they name is valid any more, and Envoy would refuse everyone.
    """
    certificate = common_pb2.TlsCertificate(
        certificate_chain=_inline(identity.cert_chain_pem), private_key=_inline(identity.key_pem)
    )
    messages = (
        secret_pb2.Secret(name=CERTIFICATE, tls_certificate=certificate),
        _roots(identity, told, certain=certain, now=now),
    )
    return {message.name: Resource.of(message.name, SECRET, message) for message in messages}


def told_roots(told: Resource) -> bytes:
    """The roots that pilotd tells, PEM."""
    message = secret_pb2.Secret.FromString(told.body)
    return bytes(message.validation_context.trusted_ca.inline_bytes)


def told_lists(told: Resource) -> list[x509.CertificateRevocationList]:
    """The revocation lists that pilotd tells."""
    message = secret_pb2.Secret.FromString(told.body)
    return revocation_lists(message.validation_context.crl.inline_bytes)


def _roots(identity: Identity, told: Resource | None, *, certain: bool, now: datetime) -> secret_pb2.Secret:
    if told is None:
        roots = common_pb2.CertificateValidationContext(trusted_ca=_inline(identity.roots_pem))
        return secret_pb2.Secret(name=ROOTS, validation_context=roots)
    message = secret_pb2.Secret.FromString(told.body)
    context = message.validation_context
    if not certain:
        known = load_certificates(context.trusted_ca.inline_bytes)
        more = [one for one in load_certificates(identity.roots_pem) if one not in known]
        context.trusted_ca.inline_bytes += chain_pem(more)
    lists = revocation_lists(context.crl.inline_bytes)
    if lists and all(is_overdue(one, now) for one in lists):
        context.ClearField("crl")
        context.only_verify_leaf_cert_crl = False
    return message


def revocation_lists(pem: bytes) -> list[x509.CertificateRevocationList]:
    """Every list in `pem`."""
    return [x509.load_pem_x509_crl(part + _END) for part in pem.split(_END)[:-1]]


def _inline(content: bytes) -> base_pb2.DataSource:
    return base_pb2.DataSource(inline_bytes=content)
