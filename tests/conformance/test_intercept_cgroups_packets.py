"""Services of one user, told apart by their control groups: what the kernel does to their packets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml
from control_groups import groups, inside, missing_groups, seen, top
from netns import APP_UID, OTHER_UID, PROXY_UID, ROOT, Host, hosts, missing

from proxyd.intercept.capture import Capture, networks
from proxyd.intercept.rules import Packet, verdict
from proxyd.intercept.steps import Backend, Present, install, uninstall
from proxyd.intercept.together import all_outbound

REASON = missing() or missing_groups()
pytestmark = [
    pytest.mark.root,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(REASON), reason=REASON or "-"),
]
ENDS = Path(__file__).parents[1] / "packet_ends.py"
SHOP = f"artemontest{os.getpid()}"
CART, BILL, REST = (f"{SHOP}.slice/{SHOP}-{one}.slice" for one in ("cart", "bill", "rest"))
RESOLVER = ("10.77.0.12", "fd77::12")
"""The other machine."""
LISTEN = ("8080", "8081", "8082", "15001", "15006", "15053l", "15101", "15106", "15201", "15206")


def capture(base: int, port: int, **more: object) -> Capture:
    return Capture(
        proxy_uid=PROXY_UID, inbound=frozenset({port}), past_inbound=frozenset({22}),
        outbound_port=base + 1, inbound_port=base + 6, **more,
    )  # type: ignore[arg-type] # fmt: skip


DNS = {"dns": networks(RESOLVER[0]), "dns_port": 15053}
CAPTURES = (
    capture(15100, 8080, cgroups=(CART,)),
    capture(15200, 8081, cgroups=(BILL,), **DNS),
    capture(15000, 8082, users=frozenset({OTHER_UID})),
)


@dataclass(frozen=True)
class Service:
    """Who asks: a user in a control group."""

    cgroup: str
    uid: int


SERVICES = [
    Service(cgroup, uid) for cgroup in (CART, BILL, REST) for uid in (APP_UID, OTHER_UID, PROXY_UID, 0)
]


def packets(host: Host, who: Service) -> Iterator[Packet]:
    for own, other, loopback in zip((host.ipv4, host.ipv6), RESOLVER, ("127.0.0.1", "::1"), strict=True):
        for protocol, to, ports in (
            ("tcp", other, (53, 80)),
            ("udp", other, (53,)),
            *(("tcp", to, (8080, 8081, 8082)) for to in (own, loopback)),
        ):
            interface = "eth0" if to == other else "lo"
            for port in ports:
                yield Packet(own, to, port, protocol, interface, who.uid, who.uid, cgroup=who.cgroup)


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("groups")
    with groups(CART, BILL, REST), hosts(2) as (_, one, two):
        for host, ports in ((one, LISTEN), (two, ("53", "80"))):
            log = folder / f"{host.name}.log"
            started = host.start(sys.executable, "-IS", str(ENDS), "listen", *ports, log=log)
            while "listening" not in log.read_text():
                assert started.poll() is None, log.read_text()
        yield one


@pytest.fixture(params=[Backend.NFT, Backend.IPTABLES])
def backend(request: pytest.FixtureRequest) -> Backend:
    return Backend(request.param)


def run(host: Host, *command: str, content: str = "") -> subprocess.CompletedProcess[str]:
    """As root, where control groups are where they should be."""
    return host.run(*seen(*command), content=content, env={"PYTHONPATH": str(ROOT)})


def reached(host: Host, who: Service, asked: list[Packet]) -> list[str]:
    told = [{"to": one.to, "port": one.port, "protocol": one.protocol} for one in asked]
    probe = host.argv([sys.executable, "-IS", str(ENDS), "probe"], uid=who.uid)
    done = subprocess.run(
        inside(who.cgroup, *probe), input=json.dumps(told), capture_output=True, text=True, check=True
    )
    return list(json.loads(done.stdout))


def expected(captures: tuple[Capture, ...], packet: Packet) -> str:
    rule = verdict(all_outbound(captures), packet)
    return str(rule.at if rule and rule.at else packet.port)


def present(host: Host) -> Present:
    return Present(host.check("iptables-save"), host.check("ip6tables-save"))


@pytest.mark.parametrize("count", [1, 3], ids=["alone", "together"])
def test_each_service_has_its_proxy(machines: Host, backend: Backend, count: int) -> None:
    captures = CAPTURES[:count]
    for step in install(captures, backend, present(machines), ipv6=True):
        done = run(machines, *step.argv, content=step.content)
        assert done.returncode == 0, f"{step}: {done.stderr}"
    try:
        found = [
            (packet, got)
            for who in SERVICES
            for asked in [list(packets(machines, who))]
            for packet, got in zip(asked, reached(machines, who, asked), strict=True)
        ]
    finally:
        for step in uninstall(None, backend, present(machines), ipv6=True):
            run(machines, *step.argv, content=step.content)
    wrong = [f"{packet}: reached {got or 'nobody'}, not {expected(captures, packet)}"
             for packet, got in found if got != expected(captures, packet)]  # fmt: skip
    assert not wrong, "\n".join(wrong)
    ends = {"15101"} if count == 1 else {"15101", "15201", "15001", "15106", "15206", "15006", "15053"}
    assert ends <= {got for _, got in found}


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "proxyd.yaml"
    written = {
        "interception": "REDIRECT",
        "proxy_user": str(PROXY_UID),
        "intercept_dir": str(tmp_path / "intercept"),
        "include_cgroups": [f"{SHOP}-cart.slice"],
    }
    path.write_text(yaml.safe_dump(written))
    return path


def intercept(host: Host, settings: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "proxyd", "intercept", *arguments, "--config", str(settings))
    return run(host, *command)


def test_a_group_that_is_made_anew_is_noticed(machines: Host, settings: Path) -> None:
    who = Service(CART, APP_UID)
    asked = [replace(next(packets(machines, who)), port=80)]
    try:
        for command in (("apply", "--now"), ("confirm",)):
            done = intercept(machines, settings, *command)
            assert done.returncode == 0, done.stderr
        assert reached(machines, who, asked) == ["15001"]
        (top() / CART).rmdir()
        assert intercept(machines, settings, "status").stdout.startswith("stale: a control group")
        done = intercept(machines, settings, "apply", "--boot")
        assert done.returncode == 0, done.stderr
        assert intercept(machines, settings, "status").stdout == "confirmed\n"
        assert reached(machines, who, asked) == ["15001"]
    finally:
        assert intercept(machines, settings, "remove").returncode == 0
    assert "artemon" not in machines.check("nft", "list", "ruleset")


def test_what_cannot_be_told_apart_stops_it(machines: Host, settings: Path) -> None:
    before = machines.check("nft", "list", "ruleset")
    refused = intercept(machines, settings, "apply", "--now", "--include-cgroups", f"{SHOP}-none.slice")
    assert refused.returncode == 1
    assert f"{SHOP}-none.slice is not there: first start the service with Slice=" in refused.stderr
    for arguments in (("plan",), ("apply", "--now")):
        command = (sys.executable, "-m", "proxyd", "intercept", *arguments, "--config", str(settings))
        hidden = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"', "sh")
        refused = machines.run(*hidden, *command, env={"PYTHONPATH": str(ROOT)})
        assert refused.returncode == 1
        told = [
            line for line in (refused.stdout + refused.stderr).splitlines() if "version 2 are not" in line
        ]
        assert len(told) == 1, refused.stderr
    assert machines.check("nft", "list", "ruleset") == before
    assert not (settings.parent / "intercept").exists()
