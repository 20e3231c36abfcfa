"""Services of one user, told apart by their control groups."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from proxyd.intercept.capture import EVERY, Capture, networks
from proxyd.intercept.cgroups import is_stale, overlap, path_of
from proxyd.intercept.iptables import restore
from proxyd.intercept.machine import Machine
from proxyd.intercept.nft import ruleset
from proxyd.intercept.obstacles import obstacles
from proxyd.intercept.rules import Packet, verdict
from proxyd.intercept.state import State, StateFile
from proxyd.intercept.together import all_outbound
from proxyd.settings import ProxydSettings

CART, BILL, OWN = "shop.slice/shop-cart.slice", "shop.slice/shop-bill.slice", "system.slice"
USER, CART_PROXY, BILL_PROXY, WEB, WEB_PROXY = 801, 901, 902, 803, 903
HERE, THERE, RESOLVER = "10.0.0.5", "10.0.0.9", "10.0.0.53"


def capture(proxy: int, port: int, base: int, **more: object) -> Capture:
    return Capture(
        proxy_uid=proxy, inbound=frozenset({port}), past_inbound=frozenset({22}),
        outbound_port=base + 1, inbound_port=base + 6, **more,
    )  # type: ignore[arg-type] # fmt: skip


GROUPS = (
    capture(CART_PROXY, 8080, 15100, cgroups=(CART,)),
    capture(BILL_PROXY, 8081, 15200, cgroups=(BILL,), dns=networks(RESOLVER), dns_port=15053),
)
BY_USER = capture(WEB_PROXY, 8082, 15300, users=frozenset({WEB}))
REST = Capture(proxy_uid=900, dns=networks(RESOLVER), dns_port=15054)
ALL = (*GROUPS, BY_USER, REST)


def out(cgroup: str, to: str = THERE, port: int = 80, *, uid: int = USER, protocol: str = "tcp") -> Packet:
    interface = "lo" if to in (HERE, "127.0.0.1") else "eth0"
    return Packet(HERE, to, port, protocol, uid=uid, gid=uid, interface=interface, cgroup=cgroup)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        pytest.param("shop.slice", "shop.slice", id="slice"),
        pytest.param("shop-cart.slice", CART, id="slice-in-a-slice"),
        pytest.param("a-b-c.slice", "a.slice/a-b.slice/a-b-c.slice", id="and-in-another"),
        pytest.param("a\\x2db.slice", "a\\x2db.slice", id="escaped"),
        pytest.param("/machines/cart", "machines/cart", id="path"),
    ],
)
def test_names(name: str, path: str) -> None:
    assert path_of(name) == path


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("cart.service", "made anew with each start", id="service"),
        pytest.param("/system.slice/cart.service", "made anew with each start", id="path-of-a-service"),
        pytest.param("cart", "is not a slice", id="neither"),
        pytest.param("-cart.slice", "is not a slice", id="no-such-slice"),
        pytest.param("/a/../b", "is not a slice", id="upwards"),
        pytest.param('/a"b', "is not a slice", id="quote"),
        pytest.param("/", "is not a slice", id="root"),
    ],
)
def test_what_is_no_name(name: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        ProxydSettings(include_cgroups=(name,))


def test_users_and_groups_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="one of them says whose connections"):
        ProxydSettings(include_cgroups=("shop.slice",), include_users=("root",))


@pytest.mark.parametrize(
    ("captures", "packet", "port"),
    [
        pytest.param(GROUPS, out(CART), 15101, id="each-has-its-group"),
        pytest.param(GROUPS, out(BILL), 15201, id="the-other-of-the-same-user-too"),
        pytest.param(GROUPS, out(f"{CART}/cart.service"), 15101, id="below"),
        pytest.param(GROUPS, out("shop.slice/shop-cart.slices"), 0, id="no-prefix-of-a-name"),
        pytest.param(GROUPS, out(OWN), 0, id="nobodys"),
        pytest.param(ALL, out(OWN), 15001, id="the-rest-is-the-namelesss"),
        pytest.param(ALL, out(CART), 15101, id="but-not-what-has-a-group"),
        pytest.param(ALL, out(OWN, uid=WEB), 15301, id="by-user-beside"),
        pytest.param(ALL, out(CART, uid=WEB), 15101, id="a-group-before-a-user"),
        pytest.param(ALL, out(CART, uid=CART_PROXY), 0, id="a-proxy-in-the-group"),
        pytest.param(GROUPS, out(CART, HERE, 8081), 15101, id="to-a-neighbour-by-ones-own-proxy"),
        pytest.param(GROUPS, out(CART, HERE, 8081, uid=CART_PROXY), 15206, id="and-by-the-neighbours"),
        pytest.param(GROUPS, out(CART, "127.0.0.1", 8081), 15206, id="loopback-is-no-way-around"),
        pytest.param(GROUPS, out(CART, "127.0.0.1", 8080), 0, id="own-loopback"),
        pytest.param(ALL, out(CART, "127.0.0.1", 8082), 15306, id="to-a-neighbour-by-user"),
        pytest.param(ALL, out(OWN, "127.0.0.1", 8080, uid=WEB), 15106, id="and-from-it"),
        pytest.param(ALL, out(BILL, RESOLVER, 53, protocol="udp"), 15053, id="own-names"),
        pytest.param(ALL, out(OWN, RESOLVER, 53, protocol="udp"), 15054, id="names-of-the-rest"),
        pytest.param(ALL, out(CART, RESOLVER, 53, protocol="udp"), 0, id="no-names-of-others"),
    ],
)
def test_connections_made_here(captures: tuple[Capture, ...], packet: Packet, port: int) -> None:
    rule = verdict(all_outbound(captures), packet)
    assert (rule.at if rule else 0) == port


def test_alone_it_has_its_group_and_nothing_else() -> None:
    for cgroup, port in ((CART, 15101), (OWN, 0)):
        rule = verdict(all_outbound(GROUPS[:1]), out(cgroup))
        assert (rule.at if rule else 0) == port


MACHINE = Machine(may_change=True, nft=True, iptables=True, ip=True, ipv6=True)


@pytest.mark.parametrize("cgroup", [CART, "shop.slice", f"{CART}/more"])
def test_no_group_is_of_two(cgroup: str) -> None:
    bill = dataclasses.replace(GROUPS[1], cgroups=(cgroup,))
    assert obstacles(bill, MACHINE, {"cart": GROUPS[0]}) == (
        f"include_cgroups: {cgroup}: cart has that already",
    )
    assert obstacles(GROUPS[1], MACHINE, {"cart": GROUPS[0], "": REST, "web": BY_USER}) == ()
    assert list(overlap((CART, BILL), (BILL, OWN))) == [BILL]


def test_why_groups_cannot_be_told_apart_stops_it() -> None:
    machine = dataclasses.replace(MACHINE, untold=("include_cgroups: no",))
    assert obstacles(GROUPS[0], machine) == ("include_cgroups: no",)


def test_both_backends_name_every_group() -> None:
    assert f'socket cgroupv2 level 2 "{CART}"' in ruleset(*ALL)
    for version in (4, 6):
        script = restore(*ALL, version=version, present="")
        assert f"-m cgroup --path {CART}" in script
        assert f"-m cgroup --path {BILL}" in script


def test_a_group_that_is_no_more_shows_as_a_number() -> None:
    assert is_stale('socket cgroupv2 level 2 56246 meta skuid != { 901 } return comment "x"')
    assert not is_stale(ruleset(*ALL))


def test_states_keep_groups_and_those_without_are_read(tmp_path: Path) -> None:
    file = StateFile(tmp_path)
    for one in (GROUPS[0], REST):
        file.save(State(confirmed=one))
        assert file.load().confirmed == one
    content = json.loads((tmp_path / "state.json").read_text())
    del content["confirmed"]["cgroups"]
    (tmp_path / "state.json").write_text(json.dumps(content))
    assert file.load().confirmed == dataclasses.replace(REST, cgroups=EVERY)
