"""Addresses of registries, and the files that open their doors."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from artemon.errors import StoreError


@dataclass(frozen=True, slots=True)
class Endpoints:
    """targets: `host:port` of each member. tls: whether they are spoken to over TLS."""

    targets: tuple[str, ...]
    tls: bool


def endpoints(url: str, *, port: int, secured: bool, insecure: bool) -> Endpoints:
    """Where `url` points. `name://` is TLS, but plaintext to loopback when nothing of TLS is given (secured);
    `name+https://` is TLS always, `name+http://` plaintext, to other machines only if insecure. Raises
    StoreError."""
    parts = urlsplit(url)
    name = parts.scheme.partition("+")[0]
    if parts.path not in {"", "/"} or "@" in parts.netloc or not parts.netloc:
        raise StoreError(f"registry {url!r}: write {name}://host:{port},host2:{port} and nothing after it")
    hosts = [_split(part, url, port) for part in parts.netloc.split(",")]
    local = all(_loopback(host) for host, _ in hosts)
    tls = {name: secured or not local, f"{name}+https": True, f"{name}+http": False}.get(parts.scheme)
    if tls is None:
        known = f"{name}://, {name}+https:// or {name}+http://"
        raise StoreError(f"registry {url!r}: unknown scheme; use {known}")
    if not tls and secured:
        raise StoreError(f"registry {url!r}: a CA or certificate is given, but the scheme is without TLS")
    if not tls and not local and not insecure:
        raise StoreError(
            f"registry {url!r}: plaintext to another machine lets everyone read and change the mesh;"
            f" use {name}+https://, or set insecure"
        )
    targets = tuple(f"[{host}]:{number}" if ":" in host else f"{host}:{number}" for host, number in hosts)
    return Endpoints(targets, tls)


def _split(part: str, url: str, default: int) -> tuple[str, int]:
    try:
        found = urlsplit(f"//{part}")
        host, port = found.hostname, found.port or default
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


def read(path: Path | None, registry: str) -> bytes | None:
    """What the file holds; None for no file. Raises StoreError."""
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise StoreError(f"{registry}: {path} cannot be read: {error.strerror}") from error
