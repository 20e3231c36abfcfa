"""Two of each daemon on three real members: all is restarted in turn under load, and all of it at once."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from live_mesh import Process, Sidecar, wait
from load import load
from meshlet_net import upstream_app
from required_servers import require_consul, require_etcd
from whole_site import CLUSTER, URL, WholeSite

pytestmark = [pytest.mark.envoy, pytest.mark.etcd, pytest.mark.timeout(600)]
ORDERS = int(os.environ.get("ARTEMON_ORDERS", "1"))
"""How many orders of a cold start are drawn, beside the one in which everybody comes before what it needs."""


@pytest.fixture
def consul_site(tmp_path: Path) -> Iterator[WholeSite]:
    require_consul()
    yield from started(WholeSite(tmp_path, registry="consul"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeSite]:
    require_etcd()
    yield from started(WholeSite(tmp_path_factory.mktemp("site")))


def started(made: WholeSite) -> Iterator[WholeSite]:
    with ExitStack() as stack:
        stack.callback(made.stop_all)
        made.start([stack.enter_context(upstream_app(f"s{n}")) for n in range(2)])
        wait(made.green, "all is well", 120)
        yield made


def test_a_rolling_restart_of_everything_costs_no_request(site: WholeSite) -> None:
    with load(site.clients(), URL, rate=25) as found:
        for number, member in enumerate(site.members):
            member.signal(signal.SIGTERM)
            member.kill()
            member.start()
            assert site.apply(number % 2, f"etcd{number}.example.com", "/") == 201
        for name in ("citadeld", "galleyd", "pilotd"):
            for number, one in enumerate(site.daemons[name]):
                one.stop()
                one.start()
                one.wait_ready()
                assert site.apply(number, f"{name}{number}.example.com", "/") == 201
                wait(site.converged, f"all are served after {one.name}", 120)
        for server in site.servers():
            server.agent.stop()
            wait(lambda one=server: not healthy(site, one), "it is known to be away", 60)
            server.agent.start()
            wait(lambda one=server: healthy(site, one), "it is back", 120)
    assert found.failures == []
    assert found.sent > 0
    assert equal(site)


def test_a_pilotd_that_returns_gets_its_share_and_one_that_dies_leaves_it(site: WholeSite) -> None:
    """Which pilotd a proxy prefers is drawn; all of them go to the one that is left, and some return."""
    first, second = site.pilots
    with load(site.clients(), URL, rate=25) as found:
        before = served(first)
        first.kill()
        wait(lambda: len(served(second)) == len(site.sidecars), "all are at the other pilotd", 60)
        first.start()
        first.wait_ready()
        wait(lambda: served(first) == before, "its proxies are back", 120)
    assert found.failures == []


def test_everything_off_and_on_in_any_order_is_green(site: WholeSite) -> None:
    off_and_on(site)


@pytest.mark.consul
@pytest.mark.slow
def test_everything_off_and_on_is_green_on_consul_too(consul_site: WholeSite) -> None:
    off_and_on(consul_site)


def off_and_on(site: WholeSite) -> None:
    """In an order in which everybody comes before what it needs, and in some that are drawn."""
    things = [*site.members, *site.everything(), *site.sidecars]
    orders = [list(reversed(things))]
    for seed in range(ORDERS):
        orders.append(random.Random(seed).sample(things, len(things)))
    for order in orders:
        site.stop_all()
        for one in order:
            power_on(one)
        took = wait(site.green, f"green again, started as {[name(one) for one in order]}", 180)
        print(f"green after {took:.1f} s: {[name(one) for one in order]}")  # noqa: T201


def healthy(site: WholeSite, server: Sidecar) -> bool:
    """Whether clients send requests to this one."""
    address = f"{server.agent.ip}:9080"
    return all(one.endpoints(CLUSTER).get(address) == "HEALTHY" for one in site.clients())


def power_on(one: object) -> None:
    if isinstance(one, Sidecar):
        one.agent.start()
    elif isinstance(one, Process):
        one.start()
    else:
        one.start(wait=False)  # type: ignore[attr-defined]


def name(one: object) -> str:
    return one.agent.settings["node"] if isinstance(one, Sidecar) else one.name  # type: ignore[attr-defined]


def served(pilot: Process) -> set[str]:
    return pilot.served() if pilot.ready().get("ready") else set()


def equal(site: WholeSite) -> bool:
    """Whether every pilotd says the same to a proxy; each knows only those that it serves, so one dies."""
    dumps = site.dumps(site.pilots)
    first, second = site.pilots
    first.kill()
    wait(lambda: len(served(second)) == len(site.sidecars), "all are at the other pilotd", 60)
    found = site.dumps([second])
    first.start()
    first.wait_ready()
    return found == dumps
