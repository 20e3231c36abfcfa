"""One call, as someone describes it in a `--call` file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from typing import Any

from artemon.errors import Problem, Refused

SOMEWHERE = "1.3.3.7"
"""The destination of a call that names none: an address that nobody knows anything of."""


class Protocol(StrEnum):
    """What is spoken, inside of TLS if there is any."""

    HTTP = "http"
    HTTP2 = "http2"
    TCP = "tcp"


class Tls(StrEnum):
    """TLS: with the mesh's own certificates on both sides, any other, or none."""

    PLAINTEXT = "plaintext"
    TLS = "tls"
    MTLS = "mtls"


class Mode(StrEnum):
    """How the connection reaches the proxy: intercepted on its way out or in, or made to it."""

    OUTBOUND = "outbound"
    INBOUND = "inbound"
    GATEWAY = "gateway"


_ALPN = {
    (Tls.TLS, Protocol.HTTP): "http/1.1",
    (Tls.TLS, Protocol.HTTP2): "h2",
    (Tls.MTLS, Protocol.HTTP): "istio-http/1.1",
    (Tls.MTLS, Protocol.HTTP2): "istio-h2",
    (Tls.MTLS, Protocol.TCP): "istio",
}
"""What a client offers that does not say (sidecars as Istio sets them up)."""


@dataclass(frozen=True, slots=True)
class Call:
    """A connection and, where it speaks HTTP, one request.

    address: where it was made to, None for anywhere. alpn: protocols offered, best first. headers: names in
    lower case. claims: of a valid token. principal: the caller's SPIFFE ID. source_ip: None for a stranger,
    or the instance itself when outbound. draw: what chance decides with, 0 to 1.
    """

    port: int
    protocol: Protocol = Protocol.TCP
    tls: Tls = Tls.PLAINTEXT
    host: str = ""
    address: str | None = None
    sni: str = ""
    alpn: tuple[str, ...] = ()
    path: str = "/"
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    mode: Mode = Mode.OUTBOUND
    principal: str = ""
    source_ip: str | None = None
    claims: Mapping[str, Any] = field(default_factory=dict)
    draw: float = 0.5

    @property
    def destination(self) -> str:
        """The address it was made to."""
        return self.address or SOMEWHERE

    @property
    def is_http(self) -> bool:
        """Whether requests are spoken."""
        return self.protocol is not Protocol.TCP

    @property
    def is_encrypted(self) -> bool:
        """Whether it begins with TLS."""
        return self.tls is not Tls.PLAINTEXT


def read_call(fields: Mapping[str, Any]) -> Call:
    """The call that a file describes. What it leaves out is filled in as a client would: the mesh's TLS where
    there is a principal, TLS where there is a server name, the server name of the host, the protocols of the
    client. Raises Refused."""
    problems = [Problem(name, _unknown(name)) for name in fields if name not in _READERS]
    found: dict[str, Any] = {}
    for name, (attribute, read) in _READERS.items():
        value = fields.get(name)
        if value is None or value == "":
            continue
        try:
            found[attribute] = read(value)
        except (TypeError, ValueError) as error:
            problems.append(Problem(name, str(error)))
    if "port" not in found and not any(problem.path == "port" for problem in problems):
        problems.append(Problem("port", "is required"))
    if found.get("alpn") and found.get("tls", Tls.TLS) is Tls.PLAINTEXT:
        problems.append(Problem("alpn", "only calls with TLS offer protocols; set tls or leave it out"))
    if problems:
        raise Refused(problems, "call")
    return Call(**_completed(found))


def _completed(found: dict[str, Any]) -> dict[str, Any]:
    out = dict(found)
    headers = dict(out.get("headers") or {})
    asked = headers.pop("host", None) or headers.pop(":authority", None)
    out["host"] = out.get("host") or asked or ""
    out["headers"] = headers
    request = bool(out["host"] or headers) or any(name in found for name in ("path", "method"))
    out.setdefault("protocol", Protocol.HTTP if request else Protocol.TCP)
    named = bool(out.get("sni") or out.get("alpn"))
    known = Tls.MTLS if out.get("principal") else Tls.TLS if named else Tls.PLAINTEXT
    out.setdefault("tls", known)
    if out["tls"] is Tls.TLS:
        out["sni"] = out.get("sni") or out["host"].partition(":")[0].lower()
    offered = _ALPN.get((out["tls"], out["protocol"]))
    if offered and not out.get("alpn"):
        out["alpn"] = (offered,)
    return out


def _unknown(name: str) -> str:
    return f"is not a field of a call (known: {', '.join(sorted(_READERS))})"


def _text(value: Any) -> str:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise ValueError("must be text")
    return str(value)


def _port(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 65536:
        raise ValueError("must be a number from 1 to 65535")
    return value


def _one_of(kind: type[StrEnum]) -> Callable[[Any], StrEnum]:
    def read(value: Any) -> StrEnum:
        try:
            return kind(str(value).lower())
        except ValueError:
            raise ValueError(f'"{value}" must be one of {", ".join(kind)}') from None

    return read


def _address(value: Any) -> str:
    try:
        return str(ip_address(_text(value)))
    except ValueError:
        raise ValueError(f'"{value}" must be an IP address') from None


def _path(value: Any) -> str:
    text = _text(value)
    if not text.startswith(("/", "*")):
        raise ValueError(f'"{text}" must begin with /')
    return text


def _principal(value: Any) -> str:
    text = _text(value)
    return text if "://" in text else f"spiffe://{text}"


def _names(value: Any) -> tuple[str, ...]:
    listed = value.split(",") if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not all(isinstance(one, str) for one in listed):
        raise ValueError("must be a protocol or a list of them")
    return tuple(one.strip() for one in listed)


def _headers(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ValueError("must be names with values")
    many = {str(name).lower(): one if isinstance(one, list) else [one] for name, one in value.items()}
    return {name: ",".join(_text(one) for one in values) for name, values in many.items()}


def _claims(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError("must be names with values")
    return value


_READERS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "port": ("port", _port),
    "protocol": ("protocol", _one_of(Protocol)),
    "tls": ("tls", _one_of(Tls)),
    "host": ("host", _text),
    "address": ("address", _address),
    "sni": ("sni", lambda value: _text(value).lower()),
    "alpn": ("alpn", _names),
    "path": ("path", _path),
    "method": ("method", _text),
    "headers": ("headers", _headers),
    "mode": ("mode", _one_of(Mode)),
    "principal": ("principal", _principal),
    "sourceIP": ("source_ip", _address),
    "claims": ("claims", _claims),
}
"""Field of the file -> attribute of Call, and how it is read."""
