"""What an agent says to citadeld: join with a token, renew with a certificate, ask what is trusted."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import grpc
from cryptography import x509
from google.protobuf.message import Message

from artemon.api.v1 import ca_pb2, trust_pb2
from artemon.daemon.address import split_address
from artemon.daemon.files import read_public
from artemon.daemon.identity_tls import channel_options, server_name
from artemon.errors import ArtemonError
from artemon.pki.certificate import chain_pem, fingerprint, load_certificates
from artemon.pki.errors import CertificateRefused
from artemon.pki.spiffe import SYSTEM_NAMESPACE, SpiffeId
from artemon.pki.verify import verify_chain

CREATE = "/istio.v1.auth.IstioCertificateService/CreateCertificate"
GET_BUNDLE = "/artemon.v1.Trust/GetBundle"
CALL_SECONDS = 10.0
_SHA256 = re.compile(r"(sha256:)?([0-9a-fA-F]{64})")
_REFUSALS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNIMPLEMENTED,
}
M = TypeVar("M", bound=Message)


class CitadelUnreachable(ArtemonError):
    """No answer; trying again may help."""


class CitadelRefused(ArtemonError):
    """citadeld said no, or is not the citadeld that is trusted; trying again does not help."""


@dataclass(frozen=True, slots=True)
class Signed:
    """What citadeld gave. chain_pem: the leaf first, no root."""

    chain_pem: bytes
    roots_pem: bytes


async def ask_for_certificate(
    address: str,
    credentials: grpc.ChannelCredentials,
    *,
    csr: bytes,
    token: str = "",
    told: Mapping[str, str] | None = None,
) -> Signed:
    """Have `csr` signed; the channel is verified by `credentials`. Raises CitadelUnreachable/Refused.

    told: what the agent says of itself: `node`, and `workload`, the subject of the certificate.
    The roots are asked for first: once a token is used up, only the answer itself can still be lost.
    """
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    request = ca_pb2.IstioCertificateRequest(csr=csr.decode())
    for name, value in (told or {}).items():
        request.metadata.fields[name].string_value = value
    async with _channel(address, credentials) as channel:
        bundle = await _call(channel, GET_BUNDLE, trust_pb2.GetBundleRequest(), trust_pb2.Bundle)
        answer = await _call(channel, CREATE, request, ca_pb2.IstioCertificateResponse, metadata)
    return without_roots("".join(answer.cert_chain).encode(), "".join(bundle.roots).encode())


def without_roots(chain: bytes, roots: bytes) -> Signed:
    """A chain that does not repeat what is trusted. Raises CertificateRefused."""
    trusted = set(load_certificates(roots))
    return Signed(chain_pem([one for one in load_certificates(chain) if one not in trusted]), roots)


def is_refusal(code: str) -> bool:
    """Whether this status of gRPC, by name, says that trying again does not help."""
    return code in {one.name for one in _REFUSALS}


async def ask_for_roots(address: str, credentials: grpc.ChannelCredentials) -> tuple[int, bytes]:
    """The sequence and the roots (PEM) of the trust bundle. Raises CitadelUnreachable/Refused."""
    async with _channel(address, credentials) as channel:
        bundle = await _call(channel, GET_BUNDLE, trust_pb2.GetBundleRequest(), trust_pb2.Bundle)
    roots = "".join(bundle.roots).encode()
    load_certificates(roots)
    return bundle.sequence, roots


async def pinned_roots(address: str, pin: str, *, trust_domain: str, now: datetime) -> bytes:
    """The roots (PEM) to join `address` with, after its certificate was verified against `pin`.

    pin: the path of a PEM file, or the SHA-256 of the root. Nothing secret is sent. Raises
    CitadelUnreachable, or CitadelRefused when the server is not the citadeld of this trust domain.
    """
    try:
        async with asyncio.timeout(CALL_SECONDS):
            chain = await asyncio.to_thread(_presented_chain, address)
    except (OSError, TimeoutError) as error:
        raise CitadelUnreachable(f"citadeld at {address} does not answer: {error or 'timeout'}") from error
    roots = _pinned(pin, chain, address)
    _check_clock(chain, address, now)
    try:
        found = verify_chain(chain, roots, now=now)
    except CertificateRefused as error:
        raise CitadelRefused(f"{address} is not trusted by the pin: {error}; no token was sent") from error
    if found != SpiffeId(trust_domain, SYSTEM_NAMESPACE, "citadeld"):
        raise CitadelRefused(f"{address} is {found}, not citadeld of {trust_domain}; no token was sent")
    return chain_pem(roots)


def _check_clock(chain: Sequence[x509.Certificate], address: str, now: datetime) -> None:
    """Raises CitadelRefused when nothing that the server shows counts now: more likely the clock is wrong."""
    begin = max((one.not_valid_before_utc for one in chain), default=now)
    end = min((one.not_valid_after_utc for one in chain), default=now)
    if not begin <= now <= end:
        raise CitadelRefused(
            f"this machine's clock says {now:%Y-%m-%d %H:%M} UTC, but the certificate of {address} counts"
            f" from {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}: set the clock; no token was sent"
        )


def _pinned(pin: str, chain: Sequence[x509.Certificate], address: str) -> tuple[x509.Certificate, ...]:
    match = _SHA256.fullmatch(pin)
    if match is None:
        content = read_public(Path(pin))
        if content is None:
            raise CitadelRefused(f"the pin {pin} is neither a file nor the SHA-256 of a root")
        return load_certificates(content)
    roots = tuple(one for one in chain if fingerprint(one) == match[2].lower())
    if not roots:
        raise CitadelRefused(f"{address} has no root with the pinned SHA-256; no token was sent")
    return roots


def _presented_chain(address: str) -> tuple[x509.Certificate, ...]:
    """What the server shows, not verified yet: the caller does that against its pin."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(split_address(address), timeout=CALL_SECONDS / 2) as connection,
        context.wrap_socket(connection, server_hostname=server_name("citadeld")) as tls,
    ):
        inner: Any = tls
        source = inner if hasattr(inner, "get_unverified_chain") else inner._sslobj  # public since 3.13
        found = source.get_unverified_chain() or ()
        ders = [one if isinstance(one, bytes) else one.public_bytes(2) for one in found]
    try:
        return tuple(x509.load_der_x509_certificate(der) for der in ders)
    except ValueError as error:
        raise OSError("the server shows an unreadable certificate") from error


def _channel(address: str, credentials: grpc.ChannelCredentials) -> grpc.aio.Channel:
    options = [*channel_options("citadeld"), ("grpc.enable_http_proxy", 0)]
    return grpc.aio.secure_channel(address, credentials, options=options)


async def _call(
    channel: grpc.aio.Channel,
    method: str,
    request: Message,
    answer: type[M],
    metadata: Sequence[tuple[str, str]] = (),
) -> M:
    call: Any = channel.unary_unary(
        method, request_serializer=type(request).SerializeToString, response_deserializer=answer.FromString
    )
    try:
        reply: M = await call(request, timeout=CALL_SECONDS, metadata=tuple(metadata))
    except grpc.aio.AioRpcError as error:
        kind = CitadelRefused if error.code() in _REFUSALS else CitadelUnreachable
        raise kind(f"citadeld: {error.details() or error.code().name.lower()}") from error
    return reply
