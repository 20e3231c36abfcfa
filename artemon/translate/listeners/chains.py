"""Which filter chains an inbound port has: by server mode and by what the port speaks (Istio's table)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from artemon.model.service import Protocol
from artemon.snapshot.view import Mode

TLS = "tls"
PLAIN = "raw_buffer"
MESH_HTTP = ("istio-http/1.0", "istio-http/1.1", "istio-h2")
MESH_TCP = ("istio-peer-exchange", "istio")
MESH_ALL = ("istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2")
PLAIN_HTTP = ("http/1.1", "h2c")


class Traffic(StrEnum):
    """What a port speaks, as far as filter chains care."""

    HTTP = "http"
    AUTO = "auto"
    TCP = "tcp"

    @classmethod
    def of(cls, protocol: Protocol) -> Traffic:
        """AUTO for ports that do not say; TLS and all other protocols are bytes."""
        if protocol is Protocol.AUTO:
            return cls.AUTO
        return cls.HTTP if protocol.is_http else cls.TCP


@dataclass(frozen=True, slots=True)
class Shape:
    """One chain. transport and alpn: which connections it takes. terminates: mutual TLS ends here.

    http: requests are looked at; else bytes are passed on.
    """

    transport: str
    alpn: tuple[str, ...] = ()
    terminates: bool = False
    http: bool = False


_TLS_HTTP = Shape(TLS, terminates=True, http=True)
_TLS_TCP = Shape(TLS, terminates=True)
_PLAIN_HTTP = Shape(PLAIN, http=True)
_PLAIN_TCP = Shape(PLAIN)
_AUTO_TLS_HTTP = Shape(TLS, MESH_HTTP, terminates=True, http=True)
_AUTO_PLAIN_HTTP = Shape(PLAIN, PLAIN_HTTP, http=True)

SHAPES: Mapping[tuple[Mode, Traffic], tuple[Shape, ...]] = {
    ("STRICT", Traffic.HTTP): (_TLS_HTTP,),
    ("STRICT", Traffic.AUTO): (_AUTO_TLS_HTTP, _TLS_TCP),
    ("STRICT", Traffic.TCP): (_TLS_TCP,),
    ("PERMISSIVE", Traffic.HTTP): (Shape(TLS, MESH_ALL, terminates=True, http=True), _PLAIN_HTTP),
    ("PERMISSIVE", Traffic.AUTO): (
        _AUTO_TLS_HTTP,
        _AUTO_PLAIN_HTTP,
        Shape(TLS, MESH_TCP, terminates=True),
        _PLAIN_TCP,
        Shape(TLS),
    ),
    ("PERMISSIVE", Traffic.TCP): (Shape(TLS, MESH_ALL, terminates=True), Shape(TLS), _PLAIN_TCP),
    ("DISABLE", Traffic.HTTP): (_PLAIN_HTTP,),
    ("DISABLE", Traffic.AUTO): (_AUTO_PLAIN_HTTP, _PLAIN_TCP),
    ("DISABLE", Traffic.TCP): (_PLAIN_TCP,),
}


def needs_tls_inspector(mode: Mode) -> bool:
    """Whether the start of a connection decides; without it all bytes count as plaintext, TLS too."""
    return mode != "DISABLE"


def needs_http_inspector(mode: Mode, traffic: Traffic) -> bool:
    """Whether HTTP must be told from other plaintext."""
    return traffic is Traffic.AUTO and mode != "STRICT"
