"""The door of the API put together: tokens, certificates, an issuer of tokens, and names of the server."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

from artemon.daemon.identity_tls import server_name
from artemon.daemon.jwks import Jwks, Place
from artemon.errors import ArtemonError
from artemon.log import Log
from artemon.tls import server_context
from galleyd import callers
from galleyd.oidc import Oidc
from galleyd.rights import Rights
from galleyd.server import Gate
from galleyd.settings import GalleySettings


def gate(settings: GalleySettings, tokens: callers.Tokens, rights: Rights, issuer: Oidc | None) -> Gate:
    """Who gets in; `tokens` are read anew. Raises ArtemonError."""
    tokens.replace(known(settings))
    names = {"localhost", socket.gethostname().lower(), socket.getfqdn().lower(), server_name("galleyd")}
    return Gate(
        tokens,
        settings.trust_domain,
        frozenset(names.union(settings.hosts)),
        rights,
        oidc=issuer,
        subjects=bool(settings.client_ca),
    )


def oidc(settings: GalleySettings, log: Log) -> Oidc | None:
    """The issuer whose tokens are taken; None where none is. Raises ArtemonError."""
    if not settings.oidc_issuer:
        return None
    if not settings.oidc_audiences:
        raise ArtemonError("oidc_audiences must be set beside oidc_issuer: tokens for others are not ours")
    place = Place(settings.oidc_issuer, settings.oidc_jwks, settings.oidc_ca)
    return Oidc(
        Jwks(place, log),
        issuer=settings.oidc_issuer,
        audiences=settings.oidc_audiences,
        user_claim=settings.oidc_user_claim,
        groups_claim=settings.oidc_groups_claim,
        prefix=settings.oidc_prefix,
    )


def known(settings: GalleySettings) -> dict[str, callers.Caller]:
    """The tokens that are known. Raises ArtemonError."""
    known = callers.admin(callers.admin_token(settings.admin_token_path))
    return known | callers.read_tokens(Path(settings.tokens_file)) if settings.tokens_file else known


def own_certificate(settings: GalleySettings) -> ssl.SSLContext:
    """TLS with a certificate of the operator's own. Raises ArtemonError."""
    try:
        context = server_context(settings.tls_cert, settings.tls_key)
        if settings.client_ca:
            context.load_verify_locations(settings.client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL
    except (OSError, ssl.SSLError) as error:
        files = f"tls_cert {settings.tls_cert}, tls_key {settings.tls_key}, client_ca {settings.client_ca}"
        raise ArtemonError(f"the certificate cannot be used ({files}): {error}") from error
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    return context
