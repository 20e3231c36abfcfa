"""`make chaos SEED=n MINUTES=m REGISTRY=etcd|consul`: faults drawn by seed, while requests go through Envoys.

Three members of etcd or Consul, two of each daemon, eight proxyds. No fault here may cost a request, which is
never tried twice: applications and Envoys are left alone, so every failure is the control plane's. At the end
a pilotd that starts from nothing must say the same to every proxy, byte for byte.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TESTS = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent / "proxyd"), str(TESTS), str(TESTS / "conformance")]

from chaos_faults import Fault, Site, every_line, faults_of  # noqa: E402
from chaos_proxies import proxy_faults_of  # noqa: E402
from lines import relayed  # noqa: E402
from live_mesh import wait  # noqa: E402
from load import Load, load  # noqa: E402
from meshlet_net import upstream_app  # noqa: E402
from whole_site import URL  # noqa: E402

SERVERS = CLIENTS = 4
PROXIES = SERVERS + CLIENTS + 1
"""With the bystander, who sends nothing that counts."""


def campaign(site: Site, found: Load, faults: dict[str, Fault], *, minutes: float) -> list[tuple[str, float]]:
    """Break and mend until the time is over; the faults, and how long after the mending all was well."""
    done: list[tuple[str, float]] = []
    until = time.monotonic() + 60 * minutes
    while time.monotonic() < until:
        name = _draw(site, faults)
        before = len(found.failures)
        with faults[name](site):
            time.sleep(site.chance.uniform(3, 12))
        seconds = wait(site.green, f"all is well after {name}", 180)
        done.append((name, seconds))
        told = "".join(f"; {note}" for note in site.notes)
        site.notes.clear()
        say(f"{name}: well after {seconds:.1f} s; {len(found.failures) - before} failed requests{told}")
    return done


def _draw(site: Site, faults: dict[str, Fault]) -> str:
    """Each once, in an order that is drawn, then again."""
    if not site.left:
        site.left = site.chance.sample(sorted(faults), len(faults))
    return site.left.pop()


def equal_to_fresh(site: Site) -> bool:
    """Whether a pilotd that starts from nothing says the same to every proxy."""
    before = site.dumps(site.pilots)
    site.join(site.spare)  # a token from the start would be too old
    site.spare.wait_ready()
    for pilot in site.pilots:
        pilot.stop()
    wait(lambda: len(site.dumps([site.spare])) == PROXIES, "everyone is at the fresh pilotd", 120)
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
    options.add_argument("--only", default="", help="faults whose names start with this")
    options.add_argument("--folder", help="where data and logs stay")
    asked = options.parse_args()
    every = faults_of(asked.registry) | proxy_faults_of(asked.registry)
    faults = {name: one for name, one in every.items() if name.startswith(asked.only)}
    with ExitStack() as stack:
        folder = asked.folder or stack.enter_context(tempfile.TemporaryDirectory())
        site = Site(Path(folder), asked.registry, random.Random(asked.seed))
        stack.callback(site.stop_all)
        applications = [stack.enter_context(upstream_app(f"s{n}")) for n in range(SERVERS)]
        stack.enter_context(relayed(every_line(site)))
        site.start(applications, clients=CLIENTS + 1)
        wait(site.green, "all is well at the start", 240)
        say(f"seed {asked.seed}: 3 {asked.registry}, 2 of each daemon, {PROXIES} Envoys")
        with load(site.clients()[:CLIENTS], URL, rate=25) as found:
            done = campaign(site, found, faults, minutes=asked.minutes)
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
