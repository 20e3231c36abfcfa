"""What stops interception, or should be known beforehand; said before anything is changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from proxyd.intercept.capture import Capture
from proxyd.intercept.machine import Machine
from proxyd.intercept.steps import Backend
from proxyd.intercept.together import conflicts

ENVOY = "envoy"
NAMELESS = "the proxy without a name"
NOBODY: Mapping[str, Capture] = {}


def obstacles(capture: Capture, machine: Machine, others: Mapping[str, Capture] = NOBODY) -> tuple[str, ...]:
    """Why rules cannot be applied; one line each. others: in force for other proxies of this machine."""
    beside = [line for name, one in others.items() for line in conflicts(capture, name or NAMELESS, one)]
    return (*_obstacles(capture, machine), *beside)


def _obstacles(capture: Capture, machine: Machine) -> Iterator[str]:
    if not machine.may_change:
        yield "rules can only be changed with CAP_NET_ADMIN: run this as root"
    elif not (machine.nft or machine.iptables):
        yield "neither nft nor iptables works here: install the package nftables"
    if not machine.ip and (capture.transparent or machine.ipv6):
        yield "ip is not there: install the package iproute2"
    yield from machine.untold
    for mesh in machine.foreign:
        yield f"{mesh} intercepts on this machine already: remove its rules first"
    for port in (capture.outbound_port, capture.inbound_port):
        others = {one.program for one in machine.sockets if one.port == port} - {"", ENVOY}
        if others:
            who = ", ".join(sorted(others))
            yield f"port {port} is Envoy's for captured connections, but {who} listens there"


def notices(capture: Capture, machine: Machine) -> tuple[str, ...]:
    """What an operator should know."""
    return tuple(_notices(capture, machine))


def _notices(capture: Capture, machine: Machine) -> Iterator[str]:
    if machine.backend is Backend.IPTABLES:
        yield "nft is not there; iptables is used, one table at a time"
    for firewall in ("firewalld", "ufw"):
        if firewall in machine.beside and not capture.transparent:
            yield (
                f"{firewall} judges connections after they were led to Envoy, by port {capture.inbound_port}:"
                " open it there, or set interception: TPROXY, with which ports stay as they were"
            )
    if "docker" in machine.beside:
        yield "ports that docker publishes go to containers as before, past the proxy"
    if capture.dns_port and not capture.dns:
        yield "no resolver in /etc/resolv.conf can be led to proxyd: it will not be asked for names"
