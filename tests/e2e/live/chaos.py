"""`make chaos SEED=n MINUTES=m REGISTRY=etcd|consul`: faults drawn by seed, while requests go through Envoys.

Three members of etcd or Consul, two of each daemon, eight proxyds. No fault here may cost a request, which is
never tried twice: applications and Envoys are left alone, so every failure is the control plane's. At the end
a pilotd that starts from nothing must say the same to every proxy, byte for byte.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "proxyd"), str(HERE.parents[1])]

from consul_servers import Cluster  # noqa: E402
from live_mesh import wait  # noqa: E402
from load import Load, load  # noqa: E402
from meshlet_net import upstream_app  # noqa: E402
from whole_site import URL, WholeSite  # noqa: E402

SERVERS = CLIENTS = 4


class Site(WholeSite):
    """What is broken and mended. chance: decides what."""

    def __init__(self, folder: Path, registry: str, chance: random.Random) -> None:
        super().__init__(folder, registry=registry)
        self.chance = chance


@contextmanager
def daemon_killed(site: Site, name: str) -> Iterator[None]:
    """F2, F3: one of citadeld or galleyd."""
    dead = site.chance.choice(site.daemons[name])
    dead.kill()
    yield
    dead.start()


@contextmanager
def pilotd_killed(site: Site, count: int = 1) -> Iterator[None]:
    """F1."""
    dead = site.chance.sample(site.pilots, count)
    for pilot in dead:
        pilot.kill()
    yield
    for pilot in dead:
        pilot.start()


@contextmanager
def pilotds_killed(site: Site) -> Iterator[None]:
    """F1, all of them."""
    with pilotd_killed(site, 2):
        yield


@contextmanager
def pilotd_paused(site: Site) -> Iterator[None]:
    """F32."""
    process = site.chance.choice(site.pilots).process
    assert process
    process.send_signal(signal.SIGSTOP)
    yield
    process.send_signal(signal.SIGCONT)


@contextmanager
def proxyd_killed(site: Site) -> Iterator[None]:
    """F6: Envoy goes on, and is adopted."""
    agent = site.chance.choice(site.sidecars).agent
    agent.kill()
    agent.start()
    yield


@contextmanager
def member_killed(site: Site) -> Iterator[None]:
    """F8, F13: one member of the registry, the leader or not."""
    member = site.chance.choice(site.members)
    member.kill()
    yield
    member.start(wait=False)
    if isinstance(site.cluster, Cluster):
        site.cluster.wait_voters()  # a second death before would end the quorum


@contextmanager
def quorum_lost(site: Site) -> Iterator[None]:
    """F9: two members stand still."""
    members = site.chance.sample(site.members, 2)
    for member in members:
        member.signal(signal.SIGSTOP)
    yield
    for member in members:
        member.signal(signal.SIGCONT)


FAULTS: dict[str, Callable[[Site], Any]] = {
    "F2 kill -9 a citadeld": partial(daemon_killed, name="citadeld"),
    "F3 kill -9 a galleyd": partial(daemon_killed, name="galleyd"),
    "F1 kill -9 a pilotd": pilotd_killed,
    "F1 kill -9 all pilotds": pilotds_killed,
    "F6 kill -9 a proxyd": proxyd_killed,
    "F8 kill -9 a member of the registry": member_killed,
    "F9 the registry loses its quorum": quorum_lost,
    "F32 a pilotd stands still": pilotd_paused,
}


def campaign(site: Site, found: Load, *, minutes: float) -> list[tuple[str, float]]:
    """Break and mend until the time is over; the faults, and how long after the mending all was well."""
    done: list[tuple[str, float]] = []
    until = time.monotonic() + 60 * minutes
    while time.monotonic() < until:
        name = site.chance.choice(sorted(FAULTS))
        before = len(found.failures)
        with FAULTS[name](site):
            time.sleep(site.chance.uniform(3, 12))
        seconds = wait(site.green, f"all is well after {name}", 180)
        done.append((name, seconds))
        say(f"{name}: well after {seconds:.1f} s; {len(found.failures) - before} failed requests")
    return done


def equal_to_fresh(site: Site) -> bool:
    """Whether a pilotd that starts from nothing says the same to every proxy."""
    before = site.dumps(site.pilots)
    site.spare.start()
    site.spare.wait_ready()
    for pilot in site.pilots:
        pilot.stop()
    wait(lambda: len(site.dumps([site.spare])) == SERVERS + CLIENTS, "everyone is at the fresh pilotd", 120)
    deadline = time.monotonic() + 30
    while different := _different(before, site.dumps([site.spare])):
        if time.monotonic() > deadline:
            say("different: " + "; ".join(different[:5]))
            return False
        time.sleep(0.5)
    return True


def _different(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Where two sets of dumps differ, node and section."""
    found = []
    for node in sorted(before.keys() | after.keys()):
        old, new = before.get(node, {}), after.get(node, {})
        for part in sorted(old.keys() | new.keys()):
            if old.get(part) != new.get(part):
                ones = [str(one)[:300] for one in old.get(part, ()) if one not in new.get(part, ())]
                others = [str(one)[:300] for one in new.get(part, ()) if one not in old.get(part, ())]
                found.append(f"{node} {part}: only before {ones[:2]}, only after {others[:2]}")
    return found


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--minutes", type=float, default=5.0)
    options.add_argument("--registry", choices=("etcd", "consul"), default="etcd")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        site = Site(Path(folder), asked.registry, random.Random(asked.seed))
        stack.callback(site.stop_all)
        applications = [stack.enter_context(upstream_app(f"s{n}")) for n in range(SERVERS)]
        site.start(applications, clients=CLIENTS)
        wait(site.green, "all is well at the start", 240)
        say(f"seed {asked.seed}: 3 {asked.registry}, 2 of each daemon, {SERVERS + CLIENTS} Envoys")
        with load(site.clients(), URL, rate=25) as found:
            done = campaign(site, found, minutes=asked.minutes)
            equal = equal_to_fresh(site)
        slowest = max((seconds for _, seconds in done), default=0.0)
        say(f"{len(done)} faults, {found.sent} requests, {len(found.failures)} failed")
        say(f"well again after {slowest:.1f} s at the slowest")
        say(f"equal to a pilotd that starts from nothing: {'yes' if equal else 'no'}")
        for at, reason in found.failures[:20]:
            say(f"  after {at} s: {reason}")
        return 1 if found.failures or not equal else 0


if __name__ == "__main__":
    sys.exit(main())
