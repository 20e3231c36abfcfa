"""Addresses of listeners and servers."""

from __future__ import annotations

import ipaddress

from artemon.errors import ArtemonError


def split_address(text: str) -> tuple[str, int]:
    """`host:port` or `[v6]:port` as a pair. Raises ArtemonError with the text when it is neither."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise ArtemonError(f'"{text}" is not an address such as 127.0.0.1:15020')
    return host.strip("[]"), int(port)


def address_text(host: str, port: int | str) -> str:
    """The opposite: `host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_ip(host: str) -> bool:
    """Whether it is an IP address, not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
