"""Every verdict of the rules, compared with what the kernel does to a packet, by nftables and by iptables."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from netns import APP_UID, OTHER_UID, PROXY_UID, Host, hosts, missing

from proxyd.intercept.capture import TPROXY_MARK, Capture, networks
from proxyd.intercept.rules import Action, Packet, inbound_rules, outbound_rules, verdict
from proxyd.intercept.steps import Backend, Present, install, uninstall

pytestmark = [
    pytest.mark.root,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(missing()), reason=missing() or "-"),
]

ENDS = Path(__file__).parents[1] / "packet_ends.py"
RESOLVER = ("10.77.0.12", "fd77::12")
LEFT_OUT = ("10.78.0.12", "fd78::12")
METADATA = ("169.254.169.254", "fd00:ec2::254")
BEYOND = ("192.0.2.9", "2001:db8::9")
CAPTURE = Capture(
    proxy_uid=PROXY_UID,
    past_inbound=frozenset({22, 2222, 15020, 9100}),
    past_outbound=networks("10.78.0.0/24", "fd78::/64"),
    past_outbound_ports=frozenset({4460, 9300}),
    past_users=frozenset({OTHER_UID}),
    dns=networks(*RESOLVER),
    dns_port=15053,
)
THERE = (22, 53, 80, 123, 4460, 9300)
HERE = (22, 53, 80, 2222, 8080, 9100, 15001, 15020)


@dataclasses.dataclass(frozen=True)
class Probe:
    """A packet, the machine that it starts from, and the address that it is given there."""

    inbound: bool
    packet: Packet
    source: str = ""

    def __str__(self) -> str:
        p = self.packet
        way = "in" if self.inbound else f"out by {p.uid}"
        return f"{way}: {p.protocol} {self.source or '*'} -> {p.to} port {p.port} mark {p.mark}"


def outbound_probes(host: Host) -> Iterator[Probe]:
    for number, own in enumerate((host.ipv4, host.ipv6)):
        loopback, source = ("127.0.0.1", "::1")[number], ("127.0.0.6", "::6")[number]
        for uid in (APP_UID, PROXY_UID, OTHER_UID, 0):
            for to, port, protocol in (
                *((RESOLVER[number], port, "tcp") for port in THERE),
                *((RESOLVER[number], port, "udp") for port in (53, 123)),
                (LEFT_OUT[number], 80, "tcp"),
                (METADATA[number], 80, "tcp"),
            ):
                yield Probe(False, Packet(own, to, port, protocol, uid=uid, gid=uid))
            for to in (own, loopback):
                for port in (22, 8080, 9100):
                    yield Probe(False, Packet(to, to, port, interface="lo", uid=uid, gid=uid))
        yield Probe(False, Packet(source, own, 8080, interface="lo", uid=PROXY_UID, gid=PROXY_UID), source)


def inbound_probes(host: Host) -> Iterator[Probe]:
    for number, own in enumerate((host.ipv4, host.ipv6)):
        for port in (22, 80, 2222, 8080, 9100, 15001, 15020):
            yield Probe(True, Packet(RESOLVER[number], own, port))
        yield Probe(True, Packet(RESOLVER[number], own, 8080, "udp"))
        yield Probe(True, Packet(RESOLVER[number], BEYOND[number], 80, local=False))


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Host, Host]]:
    folder = tmp_path_factory.mktemp("packets")
    with hosts(2) as (switch, one, two):
        for number, length in ((0, 32), (1, 128)):
            family = ("-4", "-6")[number]
            for address in (LEFT_OUT[number], METADATA[number]):
                two.check("ip", family, "addr", "add", f"{address}/{length}", "dev", "lo")
                via = (two.ipv4, two.ipv6)[number]
                one.check("ip", family, "route", "add", f"{address}/{length}", "via", via)
            switch.check("ip", family, "addr", "add", f"{BEYOND[number]}/{length}", "dev", "lo")
            two.check("ip", family, "route", "add", BEYOND[number], "via", (one.ipv4, one.ipv6)[number])
        for name in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            one.check("sysctl", "-qw", f"{name}=1")
        for host, ports in (
            (switch, ("80",)),
            (one, (*map(str, HERE), "15006t", "15053l")),
            (two, map(str, THERE)),
        ):
            log = folder / f"{host.name}.log"
            command = (sys.executable, "-IS", str(ENDS), "listen", *ports)
            started = host.start(*command, log=log)
            while "listening" not in log.read_text():
                assert started.poll() is None, log.read_text()
        yield one, two


@pytest.fixture(params=[Backend.NFT, Backend.IPTABLES])
def backend(request: pytest.FixtureRequest) -> Backend:
    return Backend(request.param)


def enforce(host: Host, capture: Capture, backend: Backend) -> None:
    for step in install([capture], backend, present(host, backend), ipv6=True):
        done = host.run(*step.argv, content=step.content)
        assert done.returncode == 0 or step.lenient, f"{step}: {done.stderr}"


def leave(host: Host, capture: Capture, backend: Backend) -> None:
    for step in uninstall(capture, backend, present(host, backend), ipv6=True):
        done = host.run(*step.argv, content=step.content)
        assert done.returncode == 0 or step.lenient, f"{step}: {done.stderr}"


def present(host: Host, backend: Backend) -> Present:
    if backend is Backend.NFT:
        return Present()
    return Present(host.check("iptables-save"), host.check("ip6tables-save"))


def answers(host: Host, probes: list[Probe], uid: int) -> Iterator[tuple[Probe, str]]:
    asked: list[dict[str, Any]] = [
        {"to": p.packet.to, "port": p.packet.port, "protocol": p.packet.protocol, "mark": p.packet.mark}
        | ({"source": p.source} if p.source else {})
        for p in probes
    ]
    done = host.run(
        sys.executable, "-IS", str(ENDS), "probe", uid=uid, content=json.dumps(asked), seconds=170
    )
    assert done.returncode == 0, done.stderr
    yield from zip(probes, json.loads(done.stdout), strict=True)


def expected(capture: Capture, probe: Probe) -> str:
    rules = inbound_rules(capture) if probe.inbound else outbound_rules(capture)
    rule = verdict(rules, probe.packet)
    ports = {
        Action.INBOUND: capture.inbound_port,
        Action.OUTBOUND: capture.outbound_port,
        Action.DNS: capture.dns_port,
    }
    return str(ports.get(rule.then, probe.packet.port) if rule else probe.packet.port)


@pytest.mark.parametrize("transparent", [False, True], ids=["redirect", "tproxy"])
def test_packets_end_where_the_rules_say(
    machines: tuple[Host, Host], backend: Backend, transparent: bool
) -> None:
    one, two = machines
    capture = dataclasses.replace(CAPTURE, transparent=transparent)
    outbound, inbound = list(outbound_probes(one)), list(inbound_probes(one))
    if transparent:
        marked = Packet(one.ipv4, one.ipv4, 8080, interface="lo", mark=TPROXY_MARK)
        outbound += [Probe(False, dataclasses.replace(marked, uid=0, gid=0))]
    enforce(one, capture, backend)
    try:
        by_user = {
            uid: [p for p in outbound if p.packet.uid == uid] for uid in (0, APP_UID, PROXY_UID, OTHER_UID)
        }
        found = [pair for uid, probes in by_user.items() for pair in answers(one, probes, uid)]
        found += answers(two, inbound, 0)
    finally:
        leave(one, capture, backend)
    wrong = [f"{probe}: reached {got or 'nobody'}, not {expected(capture, probe)}"
             for probe, got in found if got != expected(capture, probe)]  # fmt: skip
    assert not wrong, "\n".join(wrong)
    assert {"15001", "15006", "15053", "22", "80"} <= {got for _, got in found}


def test_nothing_is_left(machines: tuple[Host, Host], backend: Backend) -> None:
    one, _ = machines
    one.run("iptables", "-t", "nat", "-N", "DOCKER")
    one.check("iptables", "-t", "nat", "-A", "PREROUTING", "-p", "tcp", "--dport", "5000", "-j", "DOCKER")
    before = everything(one)
    for transparent in (True, False, True):
        capture = dataclasses.replace(CAPTURE, transparent=transparent)
        enforce(one, capture, backend)
        once = everything(one)
        enforce(one, capture, backend)
        assert everything(one) == once, "applied again, it is the same"
    assert [line for line in once if line not in before]
    leave(one, capture, backend)
    assert everything(one) == before


def everything(host: Host) -> list[str]:
    """Rules and chains (but for the empty ones that iptables makes of the kernel's), routing, addresses."""
    family = ("-4", "-6")
    commands = [
        ("ip", one, *what) for one in family for what in (("rule",), ("route", "show", "table", "all"))
    ]
    lines = [line for one in (*commands, ("ip", "-o", "addr")) for line in host.check(*one).splitlines()]
    for item in json.loads(host.check("nft", "-j", "list", "ruleset"))["nftables"]:
        ((kind, what),) = item.items()
        if kind == "rule" or (kind == "chain" and "hook" not in what):
            lines.append(json.dumps({**what, "handle": 0}, sort_keys=True))
    return lines
