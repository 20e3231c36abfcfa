"""Which connections are led to the proxy, and which never: the rules alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from artemon.errors import ArtemonError, Refused
from proxyd.intercept.capture import Capture, networks
from proxyd.intercept.iptables import removal as iptables_removal
from proxyd.intercept.iptables import restore
from proxyd.intercept.machine import Connection, Machine, Socket
from proxyd.intercept.nft import ruleset
from proxyd.intercept.obstacles import notices, obstacles
from proxyd.intercept.report import lines
from proxyd.intercept.resolve import resolve
from proxyd.intercept.rules import Packet, inbound_rules, outbound_rules, verdict
from proxyd.intercept.state import State, StateFile
from proxyd.intercept.steps import Backend, Present, install, uninstall
from proxyd.settings import ProxydSettings

PROXY, APP = 900, 33
BASE = Capture(proxy_uid=PROXY, past_inbound=frozenset({22, 2222, 15020, 15021, 15090}))
DNS = dataclasses.replace(BASE, dns=networks("10.0.0.2/32"), dns_port=15053)
NOBODY = dataclasses.replace(BASE, users=frozenset())


def out(to: str, port: int = 80, *, uid: int = APP, **more: Any) -> Packet:
    return Packet("2001:db8::5" if ":" in to else "10.0.0.5", to, port, uid=uid, gid=uid, **more)


def arriving(port: int, **more: Any) -> Packet:
    return Packet("10.0.0.9", "10.0.0.5", port, **more)


def then(capture: Capture, packet: Packet, *, inbound: bool = False) -> str:
    rule = verdict(inbound_rules(capture) if inbound else outbound_rules(capture), packet)
    return rule.then.value if rule else "past"


OUTBOUND = [
    pytest.param(BASE, out("10.0.0.9"), "outbound", id="application"),
    pytest.param(BASE, out("2001:db8::9"), "outbound", id="application-ipv6"),
    pytest.param(BASE, out("10.0.0.9", uid=0), "outbound", id="root"),
    pytest.param(BASE, out("10.0.0.9", protocol="udp"), "past", id="udp"),
    pytest.param(BASE, out("10.0.0.9", uid=PROXY), "past", id="the-proxy"),
    pytest.param(BASE, out("10.0.0.5", interface="lo", uid=PROXY), "inbound", id="proxy-to-itself"),
    pytest.param(BASE, out("10.0.0.5", 22, interface="lo", uid=PROXY), "past", id="proxy-to-own-ssh"),
    pytest.param(BASE, out("127.0.0.1", interface="lo", uid=PROXY), "past", id="proxy-to-loopback"),
    pytest.param(BASE, out("10.0.0.5", interface="lo"), "past", id="application-to-itself"),
    pytest.param(
        BASE, Packet("127.0.0.6", "10.0.0.5", 80, interface="lo", uid=PROXY), "past", id="to-the-application"
    ),
    pytest.param(BASE, Packet("::6", "fd77::5", 80, interface="lo", uid=PROXY), "past", id="the-same-ipv6"),
    pytest.param(BASE, out("169.254.169.254"), "past", id="metadata"),
    pytest.param(BASE, out("fd00:ec2::254"), "past", id="metadata-ipv6"),
    pytest.param(BASE, out("10.0.0.9", 4460), "past", id="nts"),
    pytest.param(BASE, out("10.0.0.9", 123, protocol="udp"), "past", id="ntp"),
    pytest.param(BASE, out("255.255.255.255", 67, protocol="udp"), "past", id="dhcp"),
    pytest.param(BASE, out("10.0.0.2", 53, protocol="udp"), "past", id="dns-left-alone"),
    pytest.param(DNS, out("10.0.0.2", 53, protocol="udp"), "dns", id="dns"),
    pytest.param(DNS, out("10.0.0.2", 53), "dns", id="dns-tcp"),
    pytest.param(DNS, out("10.0.0.3", 53, protocol="udp"), "past", id="another-resolver"),
    pytest.param(DNS, out("10.0.0.2", 53, protocol="udp", uid=PROXY), "past", id="the-proxy-asks"),
    pytest.param(NOBODY, out("10.0.0.9"), "past", id="nobody"),
    pytest.param(
        dataclasses.replace(BASE, users=frozenset({APP})), out("10.0.0.9", uid=1), "past", id="others"
    ),
    pytest.param(dataclasses.replace(BASE, users=frozenset({APP})), out("10.0.0.9"), "outbound", id="a-user"),
    pytest.param(
        dataclasses.replace(BASE, past_users=frozenset({APP})), out("10.0.0.9"), "past", id="user-left-out"
    ),
    pytest.param(
        dataclasses.replace(BASE, past_groups=frozenset({APP})), out("10.0.0.9"), "past", id="group-left-out"
    ),
    pytest.param(
        dataclasses.replace(BASE, past_outbound=networks("10.0.0.0/24")),
        out("10.0.0.9"),
        "past",
        id="destination-left-out",
    ),
    pytest.param(
        dataclasses.replace(BASE, outbound=networks("10.1.0.0/16")),
        out("10.0.0.9"),
        "past",
        id="not-asked-for",
    ),
    pytest.param(
        dataclasses.replace(BASE, outbound=(), outbound_ports=frozenset({80})),
        out("10.0.0.9"),
        "outbound",
        id="port-asked-for",
    ),
    pytest.param(
        dataclasses.replace(BASE, past_interfaces=("eth1",)),
        out("10.0.0.9", interface="eth1"),
        "past",
        id="interface",
    ),
]


@pytest.mark.parametrize(("capture", "packet", "expected"), OUTBOUND)
def test_connections_made_here(capture: Capture, packet: Packet, expected: str) -> None:
    assert then(capture, packet) == expected


INBOUND = [
    pytest.param(BASE, arriving(80), "inbound", id="service"),
    pytest.param(BASE, arriving(22), "past", id="ssh"),
    pytest.param(BASE, arriving(2222), "past", id="ssh-of-this-session"),
    pytest.param(BASE, arriving(15020), "past", id="monitoring"),
    pytest.param(BASE, arriving(80, protocol="udp"), "past", id="udp"),
    pytest.param(BASE, arriving(80, local=False), "past", id="passes-through"),
    pytest.param(BASE, arriving(80, interface="lo"), "past", id="loopback"),
    pytest.param(BASE, arriving(15001), "inbound", id="the-outbound-listener"),
    pytest.param(
        dataclasses.replace(BASE, inbound=frozenset({80})), arriving(81), "past", id="not-asked-for"
    ),
    pytest.param(dataclasses.replace(BASE, inbound=frozenset({80})), arriving(80), "inbound", id="asked-for"),
    pytest.param(dataclasses.replace(BASE, inbound=frozenset()), arriving(80), "past", id="none-asked-for"),
]


@pytest.mark.parametrize(("capture", "packet", "expected"), INBOUND)
def test_connections_that_arrive(capture: Capture, packet: Packet, expected: str) -> None:
    assert then(capture, packet, inbound=True) == expected


def test_settings_become_what_is_captured() -> None:
    settings = ProxydSettings(
        interception="TPROXY",
        proxy_user="65534",
        exclude_inbound_ports=("9100",),
        include_outbound_cidrs=("10.0.0.0/8", "fd00::/8"),
        exclude_users=("root",),
        dns_listen="127.0.0.1:15053",
    )
    capture = resolve(settings, sessions=[2200], resolvers=["10.0.0.2", "fe80::1%eth0"])
    assert capture.transparent
    assert capture.proxy_uid == 65534
    assert {22, 2200, 9100, 15020, 15021, 15090} == capture.past_inbound
    assert capture.outbound == networks("10.0.0.0/8", "fd00::/8")
    assert capture.past_users == {0}
    assert (capture.dns, capture.dns_port) == (networks("10.0.0.2/32"), 15053)


def test_names_that_nobody_has_are_refused_all_at_once() -> None:
    settings = ProxydSettings(proxy_user="no-such-user", exclude_groups=("no-such-group",))
    with pytest.raises(Refused) as refusal:
        resolve(settings, sessions=[], resolvers=[])
    assert [one.path for one in refusal.value.problems] == ["proxy_user", "exclude_groups"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"exclude_inbound_ports": ["0"]},
        {"exclude_inbound_ports": ["*"]},
        {"include_inbound_ports": ["80", "*"]},
        {"include_outbound_cidrs": ["10.0.0.0/33"]},
        {"exclude_interfaces": ['eth0" } accept']},
        {"interception": "redirect"},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"is not|Input should be"):
        ProxydSettings(**wrong)


MACHINE = Machine(may_change=True, nft=True, iptables=True, ip=True, ipv6=True)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"may_change": False}, "as root"),
        ({"nft": False, "iptables": False}, "nftables"),
        ({"ip": False}, "iproute2"),
        ({"foreign": ("Istio",)}, "Istio intercepts on this machine already"),
        ({"sockets": (Socket("0.0.0.0", 15006, "nginx"),)}, "nginx listens there"),
    ],
)
def test_what_stops_it_is_said_before_anything_changes(fields: dict[str, Any], said: str) -> None:
    assert obstacles(BASE, MACHINE) == ()
    (only,) = obstacles(BASE, dataclasses.replace(MACHINE, **fields))
    assert said in only


def test_firewalls_judge_by_another_port_unless_transparent() -> None:
    machine = dataclasses.replace(MACHINE, beside=("ufw", "docker"))
    told = notices(BASE, machine)
    assert "ufw" in told[0]
    assert "15006" in told[0]
    assert "docker" in told[1]
    assert not any("ufw" in one for one in notices(dataclasses.replace(BASE, transparent=True), machine))


def test_the_plan_says_what_becomes_of_sockets() -> None:
    sockets = (
        Socket("0.0.0.0", 22, "sshd"),
        Socket("0.0.0.0", 80, "nginx"),
        Socket("127.0.0.1", 5432, "postgres"),
        Socket("::", 8080, "python3"),
    )
    live = (Connection(("10.0.0.5", 22), ("10.0.0.9", 4000), "sshd"),)
    machine = dataclasses.replace(MACHINE, sockets=sockets, connections=live)
    text = "\n".join(lines([BASE], machine, ruleset(BASE), obstacles=(), notices=()))
    rows = {line.split()[0]: line for line in text.splitlines() if line.startswith("  ")}
    assert "as before: port left out" in rows["0.0.0.0:22"]
    assert "by the proxy" in rows["0.0.0.0:80"]
    assert "only this machine" in rows["127.0.0.1:5432"]
    assert "by the proxy" in rows["[::]:8080"]
    assert "live connections: 1, all stay" in text


def test_only_first_packets_are_led_elsewhere() -> None:
    """Else live connections, the operator's SSH among them, would be taken over in their middle."""
    for line in ruleset(BASE).splitlines():
        if "hook" in line or "jump" not in line:
            assert "redirect" not in line or "counter" in line
    jumps = [line for line in ruleset(BASE).splitlines() if "jump" in line]
    assert jumps
    assert all("tcp flags & (fin | syn | rst | ack) == syn" in line for line in jumps)


def test_iptables_replaces_its_own_and_nothing_else() -> None:
    present = (
        "*nat\n:PREROUTING ACCEPT [0:0]\n:DOCKER - [0:0]\n:ARTEMON_INBOUND - [0:0]\n:ARTEMON_OLD - [0:0]\n"
        "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n"
        "-A PREROUTING -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j ARTEMON_INBOUND\nCOMMIT\n"
    )
    script = restore(BASE, version=4, present=present)
    assert "-D PREROUTING -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j ARTEMON_INBOUND" in script
    assert "-X ARTEMON_OLD" in script
    assert "DOCKER" not in script
    assert "DOCKER" not in iptables_removal(present)
    assert {"-X ARTEMON_INBOUND", "-X ARTEMON_OLD"} <= set(iptables_removal(present).splitlines())
    assert iptables_removal("*nat\n:DOCKER - [0:0]\nCOMMIT\n") == ""


def test_what_rules_lead_to_is_there_before_them() -> None:
    capture = dataclasses.replace(BASE, transparent=True)
    steps = install([capture], Backend.NFT, Present(), ipv6=True)
    assert steps[-1].argv[0] == "nft"
    first = uninstall(capture, Backend.NFT, Present(), ipv6=True)[0]
    assert first.argv[0] == "nft"


def test_the_state_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "intercept")
    with file.locked():
        assert file.load() == State()
        trial = State().on_trial(DNS, Backend.IPTABLES, mark="a", until=1.5)
        file.save(trial)
        assert file.load() == trial
        file.save(trial.settled())
    assert file.load().confirmed == DNS
    (tmp_path / "intercept" / "state.json").write_text("{")
    with pytest.raises(ArtemonError, match="delete it"):
        file.load()
