"""The commands that bring interception into force, and those that take it away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from proxyd.intercept import iptables, nft
from proxyd.intercept.capture import INBOUND_SOURCES, Capture

PREFERENCE = 100
"""Of the routing rule for marked packets: before the main table (ip-rule(8))."""


class Backend(StrEnum):
    """By what means packets are led."""

    NFT = "nft"
    IPTABLES = "iptables"


@dataclass(frozen=True, slots=True)
class Step:
    """One command. content: its standard input. lenient: it may fail, where there is nothing to take away."""

    argv: tuple[str, ...]
    content: str = ""
    lenient: bool = False


@dataclass(frozen=True, slots=True)
class Present:
    """What `iptables-save` and `ip6tables-save` print; empty where iptables is not used."""

    ipv4: str = ""
    ipv6: str = ""


def install(
    captures: Sequence[Capture], backend: Backend, present: Present, *, ipv6: bool
) -> tuple[Step, ...]:
    """Puts the rules of all proxies of this machine (one or more) in place of those before. What they need is
    there before they lead anything to it."""
    steps = [*_address("replace", ipv6=ipv6)]
    if captures[0].transparent:
        steps += _routing(captures[0], ipv6=ipv6)
    if backend is Backend.NFT:
        steps.append(Step(("nft", "-f", "-"), nft.ruleset(*captures)))
    else:
        script = iptables.restore(*captures, version=4, present=present.ipv4)
        steps.append(Step(("iptables-restore", "-w", "--noflush"), script))
        if ipv6:
            script = iptables.restore(*captures, version=6, present=present.ipv6)
            steps.append(Step(("ip6tables-restore", "-w", "--noflush"), script))
    return tuple(steps)


def uninstall(capture: Capture | None, backend: Backend, present: Present, *, ipv6: bool) -> tuple[Step, ...]:
    """Leaves nothing of ours. capture: what was in force, as far as known."""
    steps: list[Step] = []
    if backend is Backend.NFT:
        steps.append(Step(("nft", "-f", "-"), nft.removal()))
    for tool, there in (("iptables-restore", present.ipv4), ("ip6tables-restore", present.ipv6)):
        if script := iptables.removal(there):
            steps.append(Step((tool, "-w", "--noflush"), script))
    if capture is not None and capture.transparent:
        steps += no_routing(capture, ipv6=ipv6)
    return (*steps, *_address("del", ipv6=ipv6))


def _address(verb: str, *, ipv6: bool) -> Iterator[Step]:
    """IPv6 has one loopback address; Envoy's connections to the application need one of their own."""
    if ipv6:
        address = str(INBOUND_SOURCES[1])
        flags = ("nodad",) if verb == "replace" else ()
        yield Step(("ip", "-6", "addr", verb, address, "dev", "lo", *flags), lenient=verb == "del")


def _routing(capture: Capture, *, ipv6: bool) -> Iterator[Step]:
    """Marked packets are for this machine, whatever their destination (TPROXY, kernel documentation)."""
    yield from _no_rules(capture, ipv6=ipv6)
    for family, everywhere in _families(ipv6=ipv6):
        table = ("table", str(capture.table))
        yield Step(("ip", family, "route", "replace", "local", everywhere, "dev", "lo", *table))
        yield Step(("ip", family, "rule", "add", *_rule(capture)))


def no_routing(capture: Capture, *, ipv6: bool) -> Iterator[Step]:
    """Takes away what leads marked packets to this machine."""
    yield from _no_rules(capture, ipv6=ipv6)
    for family, everywhere in _families(ipv6=ipv6):
        table = ("table", str(capture.table))
        yield Step(("ip", family, "route", "del", "local", everywhere, "dev", "lo", *table), lenient=True)


def _no_rules(capture: Capture, *, ipv6: bool) -> Iterator[Step]:
    for family, _ in _families(ipv6=ipv6):
        yield Step(("ip", family, "rule", "del", *_rule(capture)), lenient=True)


def _rule(capture: Capture) -> tuple[str, ...]:
    return ("fwmark", str(capture.mark), "lookup", str(capture.table), "pref", str(PREFERENCE))


def _families(*, ipv6: bool) -> tuple[tuple[str, str], ...]:
    return (("-4", "0.0.0.0/0"), ("-6", "::/0")) if ipv6 else (("-4", "0.0.0.0/0"),)
