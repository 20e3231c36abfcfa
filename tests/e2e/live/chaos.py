"""`make chaos SEED=n MINUTES=m`: faults drawn by seed, while requests without retries go through Envoys.

Three members of etcd, two pilotds, eight proxyds. No fault here may cost a request: applications and Envoys
are left alone, so every failure is the control plane's. At the end a pilotd that starts from nothing must say
the same to every proxy, byte for byte.
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
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "proxyd"), str(HERE.parents[1])]

from live_mesh import LiveMesh, Pilotd, wait  # noqa: E402
from load import Load, load  # noqa: E402
from meshlet_net import upstream_app  # noqa: E402
from servers import Etcd, free_ports  # noqa: E402

URL = "http://reviews.shop.svc.cluster.local:9080/"
SERVERS = CLIENTS = 4


class Site:
    """What is broken and mended."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.chance = chance
        ports = [free_ports(2) for _ in range(3)]
        cluster = {f"e{n}": ports[n][1] for n in range(3)}
        self.members = [
            Etcd(folder / f"e{n}", name=f"e{n}", ports=ports[n], cluster=cluster) for n in range(3)
        ]
        hosts = ",".join(f"127.0.0.1:{client}" for client, _ in ports)
        self.mesh = LiveMesh(folder, f"etcd://{hosts}", pilots=3)
        self.fresh = self.mesh.pilots.pop()
        self.addresses = [pilot.address for pilot in (*self.mesh.pilots, self.fresh)]

    def start(self, applications: list[int]) -> None:
        for member in self.members:
            member.start(wait=False)
        for member in self.members:
            member.wait_healthy()
        self.mesh.start()
        for number in range(SERVERS + CLIENTS):
            app = applications[number] if number < SERVERS else 0
            self.mesh.sidecar(f"p{number}", service="reviews" if app else "", app=app, pilotd=self.addresses)
        for sidecar in self.mesh.sidecars:
            sidecar.wait_ready(240)

    def converged(self) -> bool:
        """Everyone is served, and every server is known to everyone."""
        pilots = [pilot for pilot in self.mesh.pilots if pilot.ready().get("ready")]
        names = [one["node"] for pilot in pilots for one in pilot.page("/debug/syncz")]
        known = {len(one.endpoints(CLUSTER)) for one in self.mesh.sidecars[SERVERS:]}
        everyone = len(set(names)) == SERVERS + CLIENTS
        return len(pilots) == len(self.mesh.pilots) and everyone and known == {SERVERS}

    def dumps(self, pilots: list[Pilotd]) -> dict[str, Any]:
        """What every proxy should have, by node."""
        found = {}
        for pilot in pilots:
            for one in pilot.page("/debug/syncz"):
                dump = pilot.page(f"/debug/config_dump?proxyID={one['node']}")
                found[one["node"]] = {key: value for key, value in dump.items() if key != "revision"}
        return found


CLUSTER = "outbound|9080||reviews.shop.svc.cluster.local"


@contextmanager
def pilotd_killed(site: Site, count: int = 1) -> Iterator[None]:
    """F1."""
    dead = site.chance.sample(site.mesh.pilots, count)
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
    process = site.chance.choice(site.mesh.pilots).process
    assert process
    process.send_signal(signal.SIGSTOP)
    yield
    process.send_signal(signal.SIGCONT)


@contextmanager
def proxyd_killed(site: Site) -> Iterator[None]:
    """F6: Envoy goes on, and is adopted."""
    agent = site.chance.choice(site.mesh.sidecars).agent
    agent.kill()
    agent.start()
    yield


@contextmanager
def member_killed(site: Site) -> Iterator[None]:
    """F8: one member of etcd, the leader or not."""
    member = site.chance.choice(site.members)
    member.kill()
    yield
    member.start(wait=False)


@contextmanager
def quorum_lost(site: Site) -> Iterator[None]:
    """F9: two members of etcd stand still."""
    members = site.chance.sample(site.members, 2)
    for member in members:
        member.signal(signal.SIGSTOP)
    yield
    for member in members:
        member.signal(signal.SIGCONT)


FAULTS: dict[str, Callable[[Site], Any]] = {
    "F1 kill -9 a pilotd": pilotd_killed,
    "F1 kill -9 all pilotds": pilotds_killed,
    "F6 kill -9 a proxyd": proxyd_killed,
    "F8 kill -9 a member of etcd": member_killed,
    "F9 etcd loses its quorum": quorum_lost,
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
        seconds = wait(site.converged, f"all is well after {name}", 120)
        done.append((name, seconds))
        say(f"{name}: well after {seconds:.1f} s; {len(found.failures) - before} failed requests")
    return done


def equal_to_fresh(site: Site) -> bool:
    """Whether a pilotd that starts from nothing says the same to every proxy."""
    before = site.dumps(site.mesh.pilots)
    site.fresh.start()
    site.fresh.wait_ready()
    for pilot in site.mesh.pilots:
        pilot.stop()
    wait(lambda: len(site.dumps([site.fresh])) == SERVERS + CLIENTS, "everyone is at the fresh pilotd", 60)
    deadline = time.monotonic() + 30
    while different := _different(before, site.dumps([site.fresh])):
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
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        site = Site(Path(folder), random.Random(asked.seed))
        stack.callback(lambda: [member.kill() for member in site.members])
        stack.callback(site.fresh.kill)
        stack.callback(site.mesh.clean)
        site.start([stack.enter_context(upstream_app(f"s{n}")) for n in range(SERVERS)])
        wait(site.converged, "all is well at the start", 120)
        say(f"seed {asked.seed}: 3 etcd, 2 pilotds, {SERVERS + CLIENTS} Envoys")
        with load(site.mesh.sidecars[SERVERS:], URL, rate=25) as found:
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
