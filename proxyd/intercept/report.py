"""What a plan says to people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from artemon.daemon.address import address_text
from proxyd.intercept.capture import Capture
from proxyd.intercept.machine import Machine, Socket
from proxyd.intercept.rules import Action, Packet, Rule, verdict
from proxyd.intercept.together import all_inbound

FROM, HERE = {False: "192.0.2.1", True: "2001:db8::1"}, {False: "192.0.2.2", True: "2001:db8::2"}
"""Addresses for examples (RFC 5737, RFC 3849): somebody else's, and ours."""
UNCHANGED = "as before"


def sockets_told(captures: Sequence[Capture], machine: Machine) -> Iterator[tuple[Socket, str]]:
    """What becomes of new connections to each listening socket. captures: of all proxies of the machine."""
    rules = all_inbound(captures)
    own = {port for one in captures for port in (one.inbound_port, one.outbound_port)}
    for one in machine.sockets:
        if one.port in own:
            continue
        if one.is_local:
            yield one, f"{UNCHANGED}: only this machine reaches it"
            continue
        six = ":" in one.address and one.address != "::"
        packet = Packet(FROM[six], HERE[six], one.port, interface="(any)")
        yield one, _told(verdict(rules, packet))


def _told(rule: Rule | None) -> str:
    if rule is None:
        return UNCHANGED
    return "peers come by the proxy" if rule.then is Action.INBOUND else f"{UNCHANGED}: {rule.why}"


def lines(
    captures: Sequence[Capture],
    machine: Machine,
    script: str,
    *,
    obstacles: tuple[str, ...],
    notices: tuple[str, ...],
) -> Iterator[str]:
    """The plan as text."""
    yield from (f"cannot be applied: {one}" for one in obstacles)
    yield from (f"note: {one}" for one in notices)
    yield "new connections to what listens here:"
    rows = [
        (address_text(one.address, one.port), one.program or "?", told)
        for one, told in sockets_told(captures, machine)
    ]
    wide = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    yield from (f"  {a:{wide[0]}}  {b:{wide[1]}}  {c}" for a, b, c in rows)
    yield f"live connections: {len(machine.connections)}, all stay as they are"
    yield "rules:"
    yield from (f"  {line}".rstrip() for line in script.splitlines())
