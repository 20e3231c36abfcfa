"""Where a URL that a user wrote may lead: never to this machine, its neighbours by link, or the registry."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from artemon.errors import ArtemonError

REGISTRY_PORTS = frozenset({2379, 2380, 8300, 8301, 8302, 8500, 8501, 8502, 8503, 8600})
OUR_PORTS = range(15000, 15100)
_METADATA = frozenset(
    map(ip_address, ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd00:ec2::23"))
)
_NAT64 = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"))
_HOST = re.compile(r"[a-z0-9._:-]+")


class Forbidden(ArtemonError):
    """A URL leads where nobody may be sent."""


def check_url(url: str, allowed: Collection[str] = ()) -> None:
    """Raises Forbidden for URLs that are refused whatever their host resolves to. allowed: hosts that may be
    anywhere. What is judged is what the client makes of the text (full-width digits are an address to it)."""
    try:
        parts = URL(url)
    except (ValueError, LookupError):  # IndexError: a user and an address in brackets
        raise Forbidden(f"{url}: is no http or https URL") from None
    port, host = parts.port, parts.raw_host or ""
    if port is None or parts.scheme not in {"http", "https"}:
        raise Forbidden(f"{url}: is no http or https URL")
    if parts.user is not None or not _HOST.fullmatch(host):
        raise Forbidden(f"{url}: must have a host and no user")
    if host in allowed:
        return
    if port in REGISTRY_PORTS or port in OUR_PORTS:
        raise Forbidden(f"{url}: port {port} is one of the registry or the mesh")
    literal = _literal(host.rstrip("."))
    if literal is not None:
        check_address(literal)


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a host is, also in the old spellings that connecting takes (`127.1`, `0x7f000001`)."""
    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def check_address(address: IPv4Address | IPv6Address) -> None:
    """Raises Forbidden for this machine, links, metadata services and what is no host at all."""
    one = address
    if isinstance(one, IPv6Address):
        inner = (
            one.ipv4_mapped
            or one.sixtofour
            or (IPv4Address(int(one) & 0xFFFFFFFF) if any(one in block for block in _NAT64) else None)
        )
        if inner is not None:
            one = inner
    wrong = one.is_loopback or one.is_link_local or one.is_multicast or one.is_unspecified or one.is_reserved
    if wrong or one in _METADATA:
        raise Forbidden(f"{address}: is this machine, its link, or a metadata service")


class CheckedResolver(AbstractResolver):
    """Resolves a name once and gives nothing but addresses that may be connected to."""

    def __init__(self, allowed: Collection[str]) -> None:
        self._allowed = allowed
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if host not in self._allowed:
            for one in found:
                check_address(ip_address(one["host"].partition("%")[0]))
        return found

    async def close(self) -> None:
        await self._inner.close()


def session(
    allowed: Collection[str], *, tls: ssl.SSLContext | None = None, seconds: float | None = None
) -> aiohttp.ClientSession:
    """A client without cookies, proxies or shared connections that goes where it may. tls: whom it trusts,
    the machine's roots otherwise. seconds: for one request in all."""
    options: dict[str, Any] = {
        "ssl": True if tls is None else tls,
        "resolver": CheckedResolver(allowed),
        "use_dns_cache": False,
        "force_close": True,
    }
    more: dict[str, Any] = {} if seconds is None else {"timeout": aiohttp.ClientTimeout(total=seconds)}
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(**options),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        **more,
    )
