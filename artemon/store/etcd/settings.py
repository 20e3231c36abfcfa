"""How etcd is reached: settings, addresses, and what transport an address asks for."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
from pydantic import BaseModel, ConfigDict, Field

from artemon.errors import StoreError

PORT = 2379


class EtcdSettings(BaseModel):
    """How the registry in etcd works."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ca: Path | None = Field(None, description="PEM file of the authority that etcd's certificates come from.")
    cert: Path | None = Field(None, description="PEM file of the client certificate.")
    key: Path | None = Field(None, description="PEM file of its key.")
    user: str = Field("", description="Name of the user, where etcd has users.")
    password_file: Path | None = Field(None, description="File with the user's password.")
    insecure: bool = Field(False, description="Allow plaintext to other machines.")
    timeout: float = Field(5.0, gt=0, description="Seconds that a call may take.")
    keepalive: float = Field(10.0, ge=5, description="Seconds between pings of a connection in use.")
    bookmark: float = Field(10.0, gt=0, description="Seconds without change until a watch proves its life.")
    stale_after: float = Field(20.0, gt=0, description="Seconds without proof of life until a watch says so.")
    page: int = Field(500, ge=1, description="Keys per request when listing.")


@dataclass(frozen=True, slots=True)
class Endpoints:
    """targets: `host:port` of each member. tls: whether they are spoken to over TLS."""

    targets: tuple[str, ...]
    tls: bool


@dataclass(frozen=True, slots=True)
class Access:
    """What opens etcd's door, read from its files. credentials: grpc channel credentials, None: plaintext."""

    credentials: Any
    user: str
    password: str


def endpoints(url: str, settings: EtcdSettings) -> Endpoints:
    """Where `url` points. `etcd://` is TLS, but plaintext to loopback when no CA or certificate is given;
    `etcd+https://` is TLS always, `etcd+http://` plaintext. Raises StoreError."""
    parts = urlsplit(url)
    if parts.path not in {"", "/"} or "@" in parts.netloc or not parts.netloc:
        raise StoreError(f"registry {url!r}: write etcd://host:{PORT},host2:{PORT} and nothing after it")
    hosts = [_split(part, url) for part in parts.netloc.split(",")]
    local = all(_loopback(host) for host, _ in hosts)
    secured = settings.ca is not None or settings.cert is not None
    tls = {"etcd": secured or not local, "etcd+https": True, "etcd+http": False}.get(parts.scheme)
    if tls is None:
        raise StoreError(f"registry {url!r}: unknown scheme; use etcd://, etcd+https:// or etcd+http://")
    if not tls and secured:
        raise StoreError(f"registry {url!r}: a CA or certificate is given, but the scheme is without TLS")
    if not tls and not local and not settings.insecure:
        raise StoreError(
            f"registry {url!r}: plaintext to another machine lets everyone read and change the mesh;"
            " use etcd+https://, or set insecure"
        )
    targets = tuple(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in hosts)
    return Endpoints(targets, tls)


def _split(part: str, url: str) -> tuple[str, int]:
    try:
        found = urlsplit(f"//{part}")
        host, port = found.hostname, found.port or PORT
    except ValueError as error:
        raise StoreError(f"registry {url!r}: {part!r} is not a host and a port") from error
    if not host:
        raise StoreError(f"registry {url!r}: a host is missing")
    return host, port


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def access(where: Endpoints, settings: EtcdSettings) -> Access:
    """Read the files. Raises StoreError."""
    if (settings.cert is None) != (settings.key is None):
        raise StoreError("etcd: cert and key must be given together")
    if bool(settings.user) != (settings.password_file is not None):
        raise StoreError("etcd: user and password_file must be given together")
    password = _read(settings.password_file) or b""
    credentials = None
    if where.tls:
        credentials = grpc.ssl_channel_credentials(
            root_certificates=_read(settings.ca),
            private_key=_read(settings.key),
            certificate_chain=_read(settings.cert),
        )
    return Access(credentials, settings.user, password.decode().rstrip("\r\n"))


def _read(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise StoreError(f"etcd: {path} cannot be read: {error.strerror}") from error
