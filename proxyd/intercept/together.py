"""Rules of several proxies on one machine: each has connections of its own users or control groups, and ports
of its own. Who is in a proxy's control group belongs to it, whatever user that is.

What one service says to another on this machine passes both proxies, as if they were on two; so does what it
says to the other's port on loopback, which arrives there as plaintext. Whoever belongs to nobody talks to
them as before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from proxyd.intercept.capture import EVERY, INBOUND_SOURCES, LOOPBACK, Capture, Every
from proxyd.intercept.cgroups import overlap
from proxyd.intercept.rules import (
    DNS_PORT,
    LO,
    TCP,
    UDP,
    Action,
    Rule,
    captured,
    inbound_rules,
    left_out,
    outbound_rules,
)


def all_inbound(captures: Sequence[Capture]) -> tuple[Rule, ...]:
    """For connections that arrive."""
    return inbound_rules(captures[0]) if len(captures) == 1 else tuple(_inbound(_ordered(captures)))


def all_outbound(captures: Sequence[Capture]) -> tuple[Rule, ...]:
    """For connections that are made here."""
    return outbound_rules(captures[0]) if len(captures) == 1 else tuple(_outbound(_ordered(captures)))


def conflicts(capture: Capture, name: str, other: Capture) -> Iterator[str]:
    """Why `capture` cannot be in force beside that of the proxy `name`."""
    if capture.transparent or other.transparent:
        yield f"TPROXY is for the only proxy of a machine, and {name} is here: set interception: REDIRECT"
    rest = f"{name} has all that nobody else has; say which are of this proxy"
    if _has_all_others(capture) and _has_all_others(other):
        yield f"include_users or include_cgroups: {rest}"
    if capture.inbound == other.inbound == EVERY:
        yield f"include_inbound_ports: {rest}"
    for what, taken in (
        ("include_users", _both(capture.users, other.users)),
        ("include_inbound_ports", _both(capture.inbound, other.inbound)),
        ("include_cgroups", list(overlap(_groups(capture), _groups(other)))),
    ):
        if taken:
            yield f"{what}: {', '.join(map(str, taken))}: {name} has that already"
    for what, port in (("outbound_port", capture.outbound_port), ("inbound_port", capture.inbound_port)):
        if port in (other.outbound_port, other.inbound_port):
            yield f"{what}: {port} is {name}'s"


def _both(ours: frozenset[int] | Every, theirs: frozenset[int] | Every) -> list[int]:
    return sorted(ours & theirs) if isinstance(ours, frozenset) and isinstance(theirs, frozenset) else []


def _groups(one: Capture) -> tuple[str, ...]:
    """The control groups that are its own."""
    return () if one.cgroups == EVERY else tuple(one.cgroups)


def _has_all_others(one: Capture) -> bool:
    return bool(one.users == EVERY and one.cgroups == EVERY)


def _ordered(captures: Sequence[Capture]) -> list[Capture]:
    """Whoever has the rest comes last."""
    return sorted(captures, key=_takes_the_rest)


def _takes_the_rest(one: Capture) -> tuple[bool, bool]:
    return bool(one.inbound == EVERY), _has_all_others(one)


def _inbound(captures: list[Capture]) -> Iterator[Rule]:
    yield Rule(Action.PAST, "from this machine", interfaces=(LO,))
    left = tuple(dict.fromkeys(name for one in captures for name in one.past_interfaces))
    if left:
        yield Rule(Action.PAST, "interface left out", interfaces=left)
    yield Rule(Action.PAST, "only passes through", local=False)
    yield from _to_ports(captures)


def _to_ports(captures: list[Capture], **conditions: object) -> Iterator[Rule]:
    """To the proxy whose port it is; `conditions` narrow the rules."""
    for one in captures:
        why = "to a service of this machine"
        if one.inbound != EVERY:
            if ports := frozenset(one.inbound) - one.past_inbound:
                yield Rule(Action.INBOUND, why, TCP, ports=ports, at=one.inbound_port, **conditions)  # type: ignore[arg-type]
            continue
        past = frozenset(port for each in captures for port in each.past_inbound)
        left = "port left out (SSH, a proxy's own, excluded)"
        yield Rule(Action.PAST, left, TCP, ports=past, **conditions)  # type: ignore[arg-type]
        yield Rule(Action.INBOUND, why, TCP, at=one.inbound_port, **conditions)  # type: ignore[arg-type]


def _outbound(captures: list[Capture]) -> Iterator[Rule]:
    own = frozenset(one.proxy_uid for one in captures)
    for one in captures:
        if one.cgroups != EVERY:
            yield from _of_groups(one, captures, own)
    by_user = [one for one in captures if one.cgroups == EVERY]
    for one in by_user:
        for rule in _first(one, own):
            yield from _of(one, captures, rule)
    yield Rule(Action.PAST, "proxy to the application", interfaces=(LO,), sources=INBOUND_SOURCES, users=own)
    yield from _to_ports(captures, interfaces=(LO,), users=own, to_others=LOOPBACK)
    for one in by_user:
        for rule in () if one.users == EVERY else _to_neighbours(one, captures):
            yield from _of(one, captures, rule)
    yield Rule(Action.PAST, "to this machine", interfaces=(LO,))
    yield Rule(Action.PAST, "a proxy's own", users=own)
    for one in by_user:
        for rule in (*left_out(one), *captured(one)):
            yield from _of(one, captures, rule)


def _of_groups(one: Capture, captures: list[Capture], own: frozenset[int]) -> Iterator[Rule]:
    """All that is said of its control groups: none of the rules after these is for them. That cannot be said
    by a condition "not in these": nftables has none that holds for whoever is nearer to the root. The proxies
    may be in them as well."""
    for rule in (
        *_first(one, own),
        *_to_neighbours(one, captures),
        Rule(Action.PAST, "to this machine", interfaces=(LO,)),
        *left_out(one),
        *captured(one),
        Rule(Action.PAST, "nothing that is led to a proxy"),
    ):
        yield replace(rule, cgroups=_groups(one), other_users=own)


def _first(one: Capture, own: frozenset[int]) -> Iterator[Rule]:
    """What comes before anything else."""
    if one.past_interfaces:
        yield Rule(Action.PAST, "interface left out", interfaces=one.past_interfaces)
    for protocol in (UDP, TCP) if one.dns else ():
        yield Rule(
            Action.DNS, "query to a resolver", protocol, to=one.dns,
            ports=frozenset({DNS_PORT}), other_users=own, at=one.dns_port,
        )  # fmt: skip


def _to_neighbours(one: Capture, captures: list[Capture]) -> Iterator[Rule]:
    """What its services say to the ports of other proxies."""
    for to in captures:
        ports = frozenset() if to.inbound == EVERY else frozenset(to.inbound) - to.past_inbound
        if one is to or not ports:
            continue
        words = {"interfaces": (LO,), "ports": ports}
        why = "to another service of this machine"
        yield Rule(Action.INBOUND, why, TCP, to=LOOPBACK, at=to.inbound_port, **words)  # type: ignore[arg-type]
        yield Rule(Action.OUTBOUND, why, TCP, to_others=LOOPBACK, at=one.outbound_port, **words)  # type: ignore[arg-type]


def _of(one: Capture, captures: list[Capture], rule: Rule) -> Iterator[Rule]:
    """The rule for its users alone, or for all that are nobody else's."""
    if one.users == EVERY:
        others = frozenset(user for each in captures if each.users != EVERY for user in each.users)
        yield replace(rule, other_users=rule.other_users | others)
        return
    users = frozenset(one.users) & rule.users if rule.users else frozenset(one.users)
    if users:
        yield replace(rule, users=users)
