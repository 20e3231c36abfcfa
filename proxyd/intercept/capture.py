"""What is captured on one machine, with everything resolved: names to numbers, defaults filled in."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Literal

Network = IPv4Network | IPv6Network
Every = Literal["*"]
EVERY: Every = "*"

OUTBOUND_PORT, INBOUND_PORT = 15001, 15006
"""Where Envoy takes captured connections (Istio)."""
TPROXY_MARK, TPROXY_TABLE = 1337, 133
"""Packets with this mark are routed by this table, to this machine (Istio)."""

SSH = 22
NTS = 4460
"""Keys of authenticated NTP (RFC 8915): a machine whose clock is wrong has no certificate that counts."""


def networks(*texts: str) -> tuple[Network, ...]:
    """Networks of both families from text; host bits are dropped. Raises ValueError."""
    return tuple(ip_network(text, strict=False) for text in texts)


LOOPBACK = networks("127.0.0.0/8", "::1/128")
INBOUND_SOURCES = networks("127.0.0.6/32", "::6/128")
"""What Envoy's connections to the application come from, so that they are told from all others."""
NEVER_CAPTURED = networks(
    "169.254.0.0/16",  # link-local (RFC 3927), and the metadata service of most clouds
    "fe80::/10",  # link-local (RFC 4291): means nothing without its interface
    "fd00:ec2::254/128",  # metadata service, Amazon
    "168.63.129.16/32",  # wire server, Azure
    "100.100.100.200/32",  # metadata service, Alibaba
)


@dataclass(frozen=True, slots=True)
class Capture:
    """What is led to the proxy.

    transparent: inbound connections keep their source address (TPROXY, else REDIRECT). proxy_uid: whose
    connections are the proxy's own. past_inbound: ports that peers reach directly. inbound, users, groups,
    cgroups, outbound: what is captured, EVERY or these. virtual_interfaces: what comes in there is outbound,
    of virtual machines. outbound_ports: captured wherever they lead. dns: resolvers
    whose queries are answered by the proxy at `dns_port`; none: queries are left alone.
    """

    proxy_uid: int
    transparent: bool = False
    outbound_port: int = OUTBOUND_PORT
    inbound_port: int = INBOUND_PORT
    inbound: frozenset[int] | Every = EVERY
    past_inbound: frozenset[int] = frozenset({SSH})
    outbound: tuple[Network, ...] | Every = EVERY
    past_outbound: tuple[Network, ...] = ()
    outbound_ports: frozenset[int] = frozenset()
    past_outbound_ports: frozenset[int] = frozenset({NTS})
    users: frozenset[int] | Every = EVERY
    past_users: frozenset[int] = frozenset()
    groups: frozenset[int] | Every = EVERY
    past_groups: frozenset[int] = frozenset()
    cgroups: tuple[str, ...] | Every = EVERY
    past_interfaces: tuple[str, ...] = ()
    virtual_interfaces: tuple[str, ...] = ()
    dns: tuple[Network, ...] = ()
    dns_port: int = 0
    mark: int = TPROXY_MARK
    table: int = TPROXY_TABLE
