"""One question in the words of those who are asked: of an Envoy, and of the simulator."""

from __future__ import annotations

from typing import Any

from policy_reference import Asked
from policy_rig import Issuer


def request_of(one: Asked, issuer: Issuer, **more: str) -> bytes:
    """What is written over HTTP/1.1 to ask so. more: headers beside its own."""
    headers = {"host": one.host, **more, **one.headers}
    if one.claims is not None:
        headers["authorization"] = f"Bearer {issuer.token(**one.claims)}"
    lines = [f"{one.method} {one.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def call_of(one: Asked) -> dict[str, Any]:
    """The same for the simulator."""
    call: dict[str, Any] = {
        "protocol": "http" if one.http else "tcp", "port": one.port, "address": one.address,
        "sourceIP": one.source, "tls": "mtls" if one.identity else "plaintext",
    }  # fmt: skip
    if one.http:
        call |= {"method": one.method, "path": one.path, "host": one.host, "headers": one.headers}
    if one.identity:
        call["principal"] = one.identity
    if one.claims is not None:
        call["claims"] = one.claims
    return call
