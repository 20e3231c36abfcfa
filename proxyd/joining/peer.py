"""One request by mutual TLS to a workload, as any peer makes it: proof that both sides know each other."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass

from artemon.daemon.identity_files import Identity
from artemon.daemon.identity_tls import ssl_client_context, tls_peer_spiffe_id
from artemon.errors import ArtemonError
from artemon.pki.spiffe import SpiffeId

SECONDS = 10.0
HTTP_ALPN, BYTES_ALPN = "istio-http/1.1", "istio"
MOST = 4096


@dataclass(frozen=True, slots=True)
class Met:
    """Whom we met, and what it said to an HTTP request; 0 where none was made."""

    peer: SpiffeId
    status: int = 0


def meet(identity: Identity, address: tuple[str, int], *, http: bool, host: str) -> Met:
    """Connect to `address` with `identity`; with `http`, ask for `/` of `host`. Raises ArtemonError."""
    context = ssl_client_context(identity)
    context.check_hostname = False  # workloads have SPIFFE IDs, no names
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols([HTTP_ALPN if http else BYTES_ALPN])
    where = f"{address[0]}:{address[1]}"
    try:
        plain = socket.create_connection(address, timeout=SECONDS)
        with plain, context.wrap_socket(plain) as connection:
            peer = tls_peer_spiffe_id(connection)
            status = _ask(connection, host) if http else 0
    except (OSError, ValueError) as error:
        raise ArtemonError(f"no mutual TLS with {where}: {error}") from error
    if peer is None or peer.trust_domain != identity.spiffe_id.trust_domain:
        raise ArtemonError(f"who answers at {where} is not of this mesh")
    return Met(peer, status)


def _ask(connection: ssl.SSLSocket, host: str) -> int:
    request = f"GET / HTTP/1.1\r\nhost: {host}\r\nuser-agent: proxyd\r\nconnection: close\r\n\r\n"
    connection.sendall(request.encode("ascii"))
    line = connection.recv(MOST).partition(b"\r\n")[0].split(b" ")
    if len(line) < 2 or not line[1].isdigit():
        raise ValueError("the answer is not HTTP")
    return int(line[1])
