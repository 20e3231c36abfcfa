"""Several proxies on one machine: whose connection goes to whom."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from proxyd.intercept.capture import EVERY, Capture, networks
from proxyd.intercept.iptables import restore
from proxyd.intercept.machine import Machine
from proxyd.intercept.nft import ruleset
from proxyd.intercept.obstacles import obstacles
from proxyd.intercept.rules import Packet, verdict
from proxyd.intercept.state import State, StateFile
from proxyd.intercept.together import all_inbound, all_outbound

WEB_PROXY, WEB, API_PROXY, API, ROOT = 901, 801, 902, 802, 0
HERE, THERE = "10.0.0.5", "10.0.0.9"


def capture(proxy: int, user: int, port: int, base: int) -> Capture:
    return Capture(
        proxy_uid=proxy,
        users=frozenset({user}),
        inbound=frozenset({port}),
        past_inbound=frozenset({22, base + 20}),
        outbound_port=base + 1,
        inbound_port=base + 6,
    )


NAMED = (capture(WEB_PROXY, WEB, 8080, 15100), capture(API_PROXY, API, 8081, 15200))
REST = Capture(proxy_uid=900, past_inbound=frozenset({22, 15020}))
ALL = (*NAMED, REST)


def out(uid: int, to: str = THERE, port: int = 80, *, source: str = HERE) -> Packet:
    return Packet(source, to, port, uid=uid, gid=uid, interface="eth0" if to == THERE else "lo")


def ends(captures: tuple[Capture, ...], packet: Packet, *, inbound: bool = False) -> int:
    """The port of the listener that takes it; 0: it goes past all proxies."""
    rule = verdict(all_inbound(captures) if inbound else all_outbound(captures), packet)
    return rule.at if rule else 0


@pytest.mark.parametrize(
    ("captures", "packet", "port"),
    [
        pytest.param(NAMED, out(WEB), 15101, id="each-has-its-users"),
        pytest.param(NAMED, out(API), 15201, id="the-other-too"),
        pytest.param(NAMED, out(ROOT), 0, id="nobodys-user"),
        pytest.param(ALL, out(ROOT), 15001, id="the-rest-is-the-namelesss"),
        pytest.param(ALL, out(WEB), 15101, id="but-not-what-has-a-name"),
        pytest.param(ALL, out(WEB_PROXY), 0, id="proxies-are-never-captured"),
        pytest.param(NAMED, out(WEB, HERE, 8081), 15101, id="to-a-neighbour-by-ones-own-proxy"),
        pytest.param(NAMED, out(WEB_PROXY, HERE, 8081), 15206, id="and-by-the-neighbours"),
        pytest.param(NAMED, out(WEB_PROXY, HERE, 8080), 15106, id="to-oneself"),
        pytest.param(NAMED, out(WEB, HERE, 8080), 0, id="an-application-to-itself"),
        pytest.param(NAMED, out(WEB, "127.0.0.1", 8081), 15206, id="loopback-is-no-way-around"),
        pytest.param(NAMED, out(WEB, "127.0.0.1", 8080), 0, id="own-loopback"),
        pytest.param(NAMED, out(ROOT, "127.0.0.1", 8081), 0, id="root-on-loopback"),
        pytest.param(NAMED, out(API_PROXY, HERE, 8081, source="127.0.0.6"), 0, id="to-the-application"),
        pytest.param(NAMED, out(WEB, HERE, 8081, source="127.0.0.6"), 15101, id="no-application-is-a-proxy"),
        pytest.param(NAMED, out(WEB_PROXY, HERE, 22), 0, id="ssh"),
        pytest.param(ALL, out(WEB_PROXY, HERE, 9000), 15006, id="what-nobody-asked-for"),
    ],
)
def test_connections_made_here(captures: tuple[Capture, ...], packet: Packet, port: int) -> None:
    assert ends(captures, packet) == port


@pytest.mark.parametrize(
    ("captures", "port", "taken"),
    [
        pytest.param(NAMED, 8080, 15106, id="one"),
        pytest.param(NAMED, 8081, 15206, id="other"),
        pytest.param(NAMED, 9000, 0, id="nobodys-port"),
        pytest.param(ALL, 9000, 15006, id="the-namelesss"),
        pytest.param(ALL, 22, 0, id="ssh"),
        pytest.param(ALL, 15120, 0, id="a-proxys-own"),
    ],
)
def test_connections_that_arrive(captures: tuple[Capture, ...], port: int, taken: int) -> None:
    assert ends(captures, Packet(THERE, HERE, port), inbound=True) == taken


def test_what_is_left_out_is_left_out_for_ones_own_users() -> None:
    careful = dataclasses.replace(NAMED[0], past_outbound=networks("10.0.0.0/24"))
    assert ends((careful, NAMED[1]), out(WEB)) == 0
    assert ends((careful, NAMED[1]), out(API)) == 15201


MACHINE = Machine(may_change=True, nft=True, iptables=True, ip=True, ipv6=True)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        pytest.param({"users": frozenset({WEB})}, f"include_users: {WEB}: web has that already", id="user"),
        pytest.param({"inbound": frozenset({8080})}, "include_inbound_ports: 8080: web has that", id="port"),
        pytest.param({"inbound_port": 15106}, "inbound_port: 15106 is web's", id="listener"),
        pytest.param({"transparent": True}, "TPROXY is for the only proxy", id="tproxy"),
    ],
)
def test_what_two_cannot_have_is_said(changed: dict, reason: str) -> None:
    told = obstacles(dataclasses.replace(NAMED[1], **changed), MACHINE, {"web": NAMED[0]})
    assert len(told) == 1
    assert reason in told[0]
    assert not obstacles(NAMED[1], MACHINE, {"web": NAMED[0]})


def test_two_cannot_have_the_rest() -> None:
    rest = dataclasses.replace(NAMED[1], users=EVERY, inbound=EVERY)
    told = obstacles(rest, MACHINE, {"": REST})
    assert [line.partition(":")[0] for line in told] == [
        "include_users or include_cgroups", "include_inbound_ports"
    ]  # fmt: skip


def test_both_backends_have_every_listener() -> None:
    scripts = [ruleset(*ALL), restore(*ALL, version=4, present="")]
    for script in scripts:
        assert all(str(port) in script for port in (15101, 15106, 15201, 15206, 15001, 15006)), script


def test_states_lie_beside_each_other(tmp_path: Path) -> None:
    web, nameless = StateFile(tmp_path, "web"), StateFile(tmp_path)
    web.save(State(confirmed=NAMED[0]))
    nameless.save(State(confirmed=REST))
    assert nameless.others() == {"web": State(confirmed=NAMED[0])}
    assert web.others() == {"": State(confirmed=REST)}
    assert set(web.names()) == {"", "web"}
    web.delete()
    assert nameless.others() == {}
