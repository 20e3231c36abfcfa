"""One question in the words of those who are asked: of an Envoy, and of the simulator."""

from __future__ import annotations

from typing import Any

from policy_http2 import EMPTY_MESSAGE
from policy_reference import Asked
from policy_rig import Caller, Issuer, Rig

ANSWERS = {"OK": 200, "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "UNAVAILABLE": 503}
"""Statuses of gRPC as those of HTTP (gRPC's "HTTP to gRPC status code mapping")."""


def _headers_of(one: Asked, issuer: Issuer, more: dict[str, str]) -> dict[str, str]:
    headers = {**more, **one.headers}
    if one.claims is not None:
        headers["authorization"] = f"Bearer {issuer.token(**one.claims)}"
    return headers


def request_of(one: Asked, issuer: Issuer, **more: str) -> bytes:
    """What is written over HTTP/1.1 to ask so. more: headers beside its own."""
    headers = {"host": one.host, **_headers_of(one, issuer, more)}
    lines = [f"{one.method} {one.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def stream_of(one: Asked, issuer: Issuer, **more: str) -> list[tuple[bytes, bytes]]:
    """The headers that ask so over HTTP/2."""
    found = {":method": one.method, ":scheme": "http", ":authority": one.host, ":path": one.path}
    found |= _headers_of(one, issuer, more)
    if one.over == "grpc":
        found |= {"content-type": "application/grpc", "te": "trailers"}
    return [(name.encode(), value.encode()) for name, value in found.items()]


def said(rig: Rig, issuer: Issuer, one: Asked, *statuses: int, **more: str) -> bool:
    """What Envoy does, which is one of `statuses`. more: headers beside its own."""
    who = Caller(one.identity, one.source)
    if not one.http:
        return rig.tcp(one.address, one.port, who)
    if one.over == "http/1.1":
        status = rig.http(one.address, one.port, request_of(one, issuer, **more), who).status
    else:
        body = EMPTY_MESSAGE if one.over == "grpc" else b""
        reply = rig.http2(one.address, one.port, stream_of(one, issuer, **more), who, body)
        status = ANSWERS.get(reply.grpc, reply.status) if one.over == "grpc" else reply.status
    assert status in statuses, (one, status)
    return status == 200


def call_of(one: Asked) -> dict[str, Any]:
    """The same for the simulator."""
    protocol = "http" if one.over == "http/1.1" else "http2"
    call: dict[str, Any] = {
        "protocol": protocol if one.http else "tcp", "port": one.port, "address": one.address,
        "sourceIP": one.source, "tls": "mtls" if one.identity else "plaintext",
    }  # fmt: skip
    if one.http:
        headers = {"content-type": "application/grpc"} if one.over == "grpc" else {}
        call |= {
            "method": one.method,
            "path": one.path,
            "host": one.host,
            "headers": {**headers, **one.headers},
        }
    if one.identity:
        call["principal"] = one.identity
    if one.claims is not None:
        call["claims"] = one.claims
    return call
