"""TLS settings shared by every server and client of the mesh."""

from __future__ import annotations

import ssl

MESH_MINIMUM = ssl.TLSVersion.TLSv1_2


def client_context(ca_pem: str) -> ssl.SSLContext:
    """A client context that trusts exactly `ca_pem` and checks the server's name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = MESH_MINIMUM
    context.load_verify_locations(cadata=ca_pem)
    return context


def server_context(cert_file: str, key_file: str) -> ssl.SSLContext:
    """A server context with this certificate. Raises OSError or ssl.SSLError when the files do not fit."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = MESH_MINIMUM
    context.load_cert_chain(cert_file, key_file)
    return context
