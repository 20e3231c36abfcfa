"""TLS with an identity that renews: gRPC and HTTPS servers, channels, and who the peer is."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509

from artemon.daemon.identity_files import Identity
from artemon.pki.errors import InvalidSpiffeId
from artemon.pki.spiffe import SYSTEM_NAMESPACE, SpiffeId
from artemon.tls import MESH_MINIMUM

Source = Callable[[], Identity]
"""Where the identity of the moment comes from: `keeper.current`."""


def server_name(daemon: str) -> str:
    """The DNS name that only the certificate of this daemon carries; clients check it."""
    return f"{daemon}.{SYSTEM_NAMESPACE}.svc"


def channel_options(daemon: str) -> list[tuple[str, str]]:
    """gRPC channel options that make the client insist on the certificate of `daemon`."""
    name = server_name(daemon)
    return [("grpc.ssl_target_name_override", name), ("grpc.default_authority", name)]


def grpc_channel_credentials(identity: Identity) -> grpc.ChannelCredentials:
    """Client credentials with `identity`; a channel keeps them, so make a new one after a renewal."""
    return grpc.ssl_channel_credentials(identity.roots_pem, identity.key_pem, identity.cert_chain_pem)


def grpc_server_credentials(
    source: Source, *, require_client: bool = True, client_roots: Callable[[], bytes] | None = None
) -> grpc.ServerCredentials:
    """Server credentials that use the newest identity for every new connection.

    With `require_client`, peers need a certificate that leads to the roots, or to `client_roots` (PEM, as
    they are at the moment); without, none is asked for (gRPC for Python knows no third way).
    """

    def newest() -> tuple[Identity, bytes]:
        identity = source()
        return identity, client_roots() if client_roots else identity.roots_pem

    used = newest()

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal used
        found = newest()
        if found[0] is used[0] and found[1] == used[1]:
            return None
        used = found
        return _configuration(*found)

    fetcher: Any = fetch  # None, "no change", is missing in the type stubs
    return grpc.dynamic_ssl_server_credentials(_configuration(*used), fetcher, require_client)


def _configuration(identity: Identity, client_roots: bytes) -> grpc.ServerCertificateConfiguration:
    # the roots go along, so that a joining client can find the one that it has the fingerprint of
    chain = identity.cert_chain_pem + identity.roots_pem
    return grpc.ssl_server_certificate_configuration([(identity.key_pem, chain)], client_roots)


def peer_spiffe_id(context: grpc.aio.ServicerContext[Any, Any]) -> SpiffeId | None:
    """Who calls, by the verified client certificate; None without one, or unless it has exactly one URI
    and that is a workload's. Callers compare the trust domain."""
    found = context.auth_context()
    names = list(found.get("peer_spiffe_id", ()))
    if len(names) != 1 or list(found.get("peer_uri", ())) != names:
        return None
    return _workload(names[0].decode("ascii", "replace"))


def peer_serial(context: grpc.aio.ServicerContext[Any, Any]) -> int | None:
    """The serial number of the verified client certificate; None without one."""
    found = list(context.auth_context().get("x509_pem_cert", ()))
    return x509.load_pem_x509_certificate(found[0]).serial_number if found else None


def peer_chain(context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
    """The client certificate and what came along with it, PEM, the leaf first; empty without one."""
    found = context.auth_context()
    chain = b"".join(found.get("x509_pem_cert_chain", ()))
    return chain or b"".join(found.get("x509_pem_cert", ()))


def tls_peer_spiffe_id(connection: ssl.SSLObject | ssl.SSLSocket | None) -> SpiffeId | None:
    """The same for a TLS connection of asyncio: `transport.get_extra_info("ssl_object")`."""
    certificate = connection.getpeercert() if connection is not None else None
    names: Any = (certificate or {}).get("subjectAltName", ())
    uris = [value for kind, value in names if kind == "URI"]
    return _workload(uris[0]) if len(uris) == 1 else None


def _workload(text: str) -> SpiffeId | None:
    try:
        return SpiffeId.parse(text)
    except InvalidSpiffeId:
        return None


def ssl_server_context(source: Source, *, client: ssl.VerifyMode = ssl.CERT_OPTIONAL) -> ssl.SSLContext:
    """A server context for asyncio that uses the newest identity for every new connection.

    client: whether peers must, may or need not show a certificate; one that is shown must be valid.
    """
    used = source()
    inner = _context(used, client)
    outer = _context(used, client)

    def choose(connection: ssl.SSLObject, _name: str | None, _context_: ssl.SSLContext) -> None:
        nonlocal used, inner
        newest = source()
        if newest is not used:
            used, inner = newest, _context(newest, client)
        connection.context = inner

    outer.sni_callback = choose
    return outer


def ssl_client_context(identity: Identity) -> ssl.SSLContext:
    """A client context that shows `identity` and trusts its roots."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _load(context, identity)
    return context


def _context(identity: Identity, client: ssl.VerifyMode) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = client
    context.options |= ssl.OP_NO_TICKET  # a resumed session would outlive its certificate
    context.num_tickets = 0
    _load(context, identity)
    return context


def _load(context: ssl.SSLContext, identity: Identity) -> None:
    context.minimum_version = MESH_MINIMUM
    context.load_verify_locations(cadata=identity.roots_pem.decode())
    with tempfile.TemporaryDirectory() as directory:  # 0700; the ssl module reads keys from files only
        file = Path(directory) / "pair.pem"
        file.touch(mode=0o600)
        file.write_bytes(identity.key_pem + identity.cert_chain_pem)
        context.load_cert_chain(file)
