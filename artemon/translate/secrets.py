"""Secrets as Envoy takes them over SDS. Made anew for each proxy, from what was granted to it."""

from __future__ import annotations

from collections.abc import Iterable

from envoy.config.core.v3.base_pb2 import DataSource
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret as Message

from artemon.model.secret import Credential
from artemon.model.trust import Trust
from artemon.snapshot.credentials import Grant
from artemon.translate.names import ROOT_SECRET
from artemon.translate.sds import credential, credential_ca
from artemon.xds.resource import Resource
from artemon.xds.types import SECRET


def secret_resources(grants: Iterable[Grant]) -> dict[str, Resource]:
    """The granted secrets, by the names under which clusters and listeners refer to them."""
    out: dict[str, Resource] = {}
    for grant in grants:
        written, held = grant.reference.written, grant.found.credential
        message = _roots(written, held) if grant.reference.roots else _certificate(written, held)
        out[message.name] = Resource.of(message.name, SECRET, message)
    return out


def trust_resource(trust: Trust) -> Resource | None:
    """Whom everyone trusts, and which certificates no more: what a node agent gives its Envoy as `ROOTCA`.
    None while it is not known. A leaf whose issuer has no list is refused as soon as there are lists."""
    if not trust.roots:
        return None
    out = Message(name=ROOT_SECRET)
    out.validation_context.trusted_ca.CopyFrom(DataSource(inline_bytes=trust.roots))
    if trust.lists:
        out.validation_context.crl.CopyFrom(DataSource(inline_bytes=trust.lists))
        out.validation_context.only_verify_leaf_cert_crl = True
    return Resource.of(ROOT_SECRET, SECRET, out)


def _certificate(written: str, held: Credential) -> Message:
    out = Message(name=credential(written))
    out.tls_certificate.certificate_chain.CopyFrom(DataSource(inline_bytes=held.certificate))
    out.tls_certificate.private_key.CopyFrom(DataSource(inline_bytes=held.key))
    return out


def _roots(written: str, held: Credential) -> Message:
    out = Message(name=credential_ca(written))
    out.validation_context.trusted_ca.CopyFrom(DataSource(inline_bytes=held.roots))
    if held.revoked:
        out.validation_context.crl.CopyFrom(DataSource(inline_bytes=held.revoked))
    return out
