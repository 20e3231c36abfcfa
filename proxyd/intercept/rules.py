"""The rules of interception, in a form from which nftables, iptables and verdicts are made alike.

The first rule whose conditions all hold decides; where none does, the packet goes on as if we were not there.
Only the first packet of a connection is looked at: connections that were there before are left alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import ip_address

from proxyd.intercept.capture import (
    EVERY,
    INBOUND_SOURCES,
    LOOPBACK,
    NEVER_CAPTURED,
    Capture,
    Network,
)

TCP, UDP = "tcp", "udp"
LO = "lo"
DNS_PORT = 53


class Action(StrEnum):
    """Where a packet goes: past the proxy, or to one of its listeners."""

    PAST = "past"
    INBOUND = "inbound"
    OUTBOUND = "outbound"
    DNS = "dns"


@dataclass(frozen=True, slots=True)
class Rule:
    """Conditions that are set must all hold. interfaces: where it came in, or goes out. local: whether the
    destination is this machine. why: said in the plan. at: the port of the listener that it goes to."""

    then: Action
    why: str
    protocol: str = ""
    interfaces: tuple[str, ...] = ()
    sources: tuple[Network, ...] = ()
    to: tuple[Network, ...] = ()
    to_others: tuple[Network, ...] = ()
    ports: frozenset[int] = frozenset()
    other_ports: frozenset[int] = frozenset()
    users: frozenset[int] = frozenset()
    other_users: frozenset[int] = frozenset()
    groups: frozenset[int] = frozenset()
    cgroups: tuple[str, ...] = ()
    mark: int = 0
    local: bool | None = None
    at: int = 0


def inbound_rules(capture: Capture) -> tuple[Rule, ...]:
    """For connections that arrive."""
    return tuple(_inbound(capture))


def outbound_rules(capture: Capture) -> tuple[Rule, ...]:
    """For connections that are made here."""
    return tuple(_outbound(capture))


def _inbound(capture: Capture) -> Iterator[Rule]:
    yield Rule(Action.PAST, "from this machine", interfaces=(LO,))
    if capture.past_interfaces:
        yield Rule(Action.PAST, "interface left out", interfaces=capture.past_interfaces)
    yield from _virtual(capture)
    yield Rule(Action.PAST, "only passes through", local=False)
    yield from _past_ports(capture)
    yield Rule(Action.INBOUND, "to a service of this machine", TCP, at=capture.inbound_port)


def _virtual(capture: Capture) -> Iterator[Rule]:
    """What virtual machines behind this one send, as if it were sent here; they have no users here."""
    if not capture.virtual_interfaces:
        return
    everybody = replace(
        capture, users=EVERY, groups=EVERY, cgroups=EVERY, past_users=frozenset(), past_groups=frozenset()
    )
    for rule in (*left_out(everybody), *captured(everybody)):
        yield replace(rule, interfaces=capture.virtual_interfaces)


def _past_ports(capture: Capture, **conditions: object) -> Iterator[Rule]:
    """Ports that peers reach directly; `conditions` narrow the rules."""
    if capture.past_inbound:
        why = "port left out (SSH, the proxy's own, excluded)"
        yield Rule(Action.PAST, why, protocol=TCP, ports=capture.past_inbound, **conditions)  # type: ignore[arg-type]
    if capture.inbound != EVERY and capture.inbound:
        why = "port not asked for"
        yield Rule(Action.PAST, why, protocol=TCP, other_ports=capture.inbound, **conditions)  # type: ignore[arg-type]
    elif not capture.inbound:
        yield Rule(Action.PAST, "no port asked for", protocol=TCP, **conditions)  # type: ignore[arg-type]


def _outbound(capture: Capture) -> Iterator[Rule]:
    own = frozenset({capture.proxy_uid})
    if capture.past_interfaces:
        yield Rule(Action.PAST, "interface left out", interfaces=capture.past_interfaces)
    for protocol in (UDP, TCP) if capture.dns else ():
        why = "query to a resolver"
        ports = frozenset({DNS_PORT})
        where = {"ports": ports, "at": capture.dns_port}
        yield Rule(Action.DNS, why, protocol=protocol, to=capture.dns, other_users=own, **where)  # type: ignore[arg-type]
    yield Rule(Action.PAST, "proxy to the application", interfaces=(LO,), sources=INBOUND_SOURCES)
    if capture.transparent:
        yield Rule(Action.PAST, "proxy to the application, in the client's name", mark=capture.mark)
    itself = {"interfaces": (LO,), "users": own, "to_others": LOOPBACK}
    yield from _past_ports(capture, **itself)
    why = "proxy to a service of this machine"
    yield Rule(Action.INBOUND, why, protocol=TCP, at=capture.inbound_port, **itself)  # type: ignore[arg-type]
    yield Rule(Action.PAST, "to this machine", interfaces=(LO,))
    yield Rule(Action.PAST, "the proxy's own", users=own)
    yield from left_out(capture)
    yield from captured(capture)


def left_out(capture: Capture) -> Iterator[Rule]:
    """What its users may reach directly."""
    if capture.past_users:
        yield Rule(Action.PAST, "user left out", users=capture.past_users)
    if capture.past_groups:
        yield Rule(Action.PAST, "group left out", groups=capture.past_groups)
    yield Rule(Action.PAST, "link-local and metadata addresses", to=NEVER_CAPTURED)
    if capture.past_outbound_ports:
        ports = capture.past_outbound_ports
        yield Rule(Action.PAST, "destination port left out", protocol=TCP, ports=ports)
    if capture.past_outbound:
        yield Rule(Action.PAST, "destination left out", to=capture.past_outbound)


def captured(capture: Capture) -> Iterator[Rule]:
    """What is led to its proxy."""
    who = {
        "users": frozenset() if capture.users == EVERY else capture.users,
        "groups": frozenset() if capture.groups == EVERY else capture.groups,
        "cgroups": () if capture.cgroups == EVERY else capture.cgroups,
        "at": capture.outbound_port,
    }
    if not capture.users or not capture.groups or not capture.cgroups:
        return
    if capture.outbound_ports:
        why = "destination port asked for"
        yield Rule(Action.OUTBOUND, why, protocol=TCP, ports=capture.outbound_ports, **who)  # type: ignore[arg-type]
    if capture.outbound:
        to = () if capture.outbound == EVERY else capture.outbound
        yield Rule(Action.OUTBOUND, "to other machines", protocol=TCP, to=to, **who)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Packet:
    """The first packet of a connection, as the kernel sees it. uid, gid, cgroup: of the sender, -1 and empty
    where it is not of this machine."""

    source: str
    to: str
    port: int
    protocol: str = TCP
    interface: str = "eth0"
    uid: int = -1
    gid: int = -1
    cgroup: str = ""
    mark: int = 0
    local: bool = True


def verdict(rules: tuple[Rule, ...], packet: Packet) -> Rule | None:
    """The rule that decides about a packet; None: nothing is done with it."""
    return next((rule for rule in rules if _holds(rule, packet)), None)


def _holds(rule: Rule, packet: Packet) -> bool:
    return (
        rule.protocol in ("", packet.protocol)
        and (not rule.interfaces or packet.interface in rule.interfaces)
        and (not rule.sources or _is_in(packet.source, rule.sources))
        and (not rule.to or _is_in(packet.to, rule.to))
        and not _is_in(packet.to, rule.to_others)
        and (not rule.ports or packet.port in rule.ports)
        and packet.port not in rule.other_ports
        and (not rule.users or packet.uid in rule.users)
        and packet.uid not in rule.other_users
        and (not rule.groups or packet.gid in rule.groups)
        and (not rule.cgroups or any(f"{packet.cgroup}/".startswith(f"{one}/") for one in rule.cgroups))
        and rule.mark in (0, packet.mark)
        and rule.local in (None, packet.local)
    )


def _is_in(address: str, found: Collection[Network]) -> bool:
    one = ip_address(address)
    return any(one in network for network in found)
