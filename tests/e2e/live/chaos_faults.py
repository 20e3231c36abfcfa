"""What the chaos lane breaks and mends: faults that must cost no request.

Not drawn are F4 (nothing here is injected: tests/e2e/kube) and F5 (no request here asks a mixerd:
tests/e2e/telemetry). What costs a proxy its requests (F7) happens to a bystander, whose requests are not
counted.
"""

from __future__ import annotations

import base64
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from consul_servers import Cluster
from lines import Line
from live_mesh import Process, Sidecar
from servers import EtcdCluster, encoded
from whole_site import WholeSite

from artemon.store.limits import end_of

POISON = "artemon/default/config/virtualservices/shop/poison"


class Site(WholeSite):
    """What is broken and mended. chance: decides what. lines: of each daemon, by its name, to each member.
    left: faults that are to be drawn before any is drawn again. notes: what faults have to tell."""

    def __init__(self, folder: Path, registry: str, chance: random.Random) -> None:
        super().__init__(folder, registry=registry, jumps=True)
        self.chance, self.left, self.notes = chance, list[str](), list[str]()
        self.lines: dict[str, list[Line]] = {}
        for one in (*self.everything(), self.spare):
            own = self.lines[one.name] = [Line(member.port) for member in self.members]
            targets = ",".join(f"127.0.0.1:{line.port}" for line in own)
            one.settings["registry"] = f"{registry}://{targets}"

    @property
    def bystander(self) -> Sidecar:
        """The last of the clients."""
        return self.clients()[-1]

    @property
    def etcd(self) -> EtcdCluster:
        """The registry, where it is etcd."""
        assert isinstance(self.cluster, EtcdCluster)
        return self.cluster

    def put(self, key: str, value: bytes) -> None:
        """As an operator's hand does."""
        if isinstance(self.cluster, Cluster):
            self.members[0].call("PUT", f"/v1/kv/{key}", value)
        else:
            self.members[0].gateway("kv/put", {"key": encoded(key), "value": encoded(value)})

    def delete(self, key: str) -> None:
        """The same."""
        if isinstance(self.cluster, Cluster):
            self.members[0].call("DELETE", f"/v1/kv/{key}")
        else:
            self.members[0].gateway("kv/deleterange", {"key": encoded(key)})

    def keys(self, prefix: str) -> list[str]:
        """What lies there."""
        if isinstance(self.cluster, Cluster):
            return list(self.members[0].call("GET", f"/v1/kv/{prefix}?keys"))
        asked = {"key": encoded(prefix), "range_end": encoded(end_of(prefix)), "keys_only": True}
        found = self.members[0].gateway("kv/range", asked).get("kvs", ())
        return [base64.b64decode(one["key"]).decode() for one in found]

    def end_leases(self) -> None:
        """All of them at once."""
        if isinstance(self.cluster, Cluster):
            for session in self.members[0].call("GET", "/v1/session/list"):
                self.members[0].call("PUT", f"/v1/session/destroy/{session['ID']}")
            return
        for lease in self.members[0].gateway("lease/leases", {}).get("leases", ()):
            self.members[0].gateway("lease/revoke", {"ID": lease["ID"]})


Fault = Callable[[Site], Any]


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
def paused(site: Site, name: str) -> Iterator[None]:
    """F26, F32: a process stands still; if it led, another leads meanwhile."""
    still = site.chance.choice(site.daemons[name])
    freeze(still)
    yield
    thaw(still)


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
def leader_killed(site: Site) -> Iterator[None]:
    """F8, F13."""
    member = site.cluster.leader()
    member.kill()
    yield
    member.start(wait=False)
    if isinstance(site.cluster, Cluster):
        site.cluster.wait_voters()


@contextmanager
def quorum_lost(site: Site) -> Iterator[None]:
    """F9: two members stand still."""
    members = site.chance.sample(site.members, 2)
    for member in members:
        member.signal(signal.SIGSTOP)
    yield
    for member in members:
        member.signal(signal.SIGCONT)


@contextmanager
def started_without_registry(site: Site) -> Iterator[None]:
    """F15: a pilotd starts while nothing can be read; it has what it saved."""
    with pilotd_killed(site), quorum_lost(site):
        yield


@contextmanager
def compacted(site: Site) -> Iterator[None]:
    """F10: the history that a pilotd would go on in is gone when it does."""
    still = site.chance.choice(site.pilots)
    freeze(still)
    yield
    for number in range(20):
        site.put(f"{POISON}{number}", b"{}")
        site.delete(f"{POISON}{number}")
    head = site.members[0].gateway("maintenance/status", {})["header"]["revision"]
    site.members[0].gateway("kv/compaction", {"revision": head, "physical": True})
    thaw(still)


@contextmanager
def without_space(site: Site) -> Iterator[None]:
    """F12: every member refuses writes."""
    alarm = {"alarm": "NOSPACE"}
    for member in site.etcd.members:
        number = member.gateway("maintenance/status", {})["header"]["member_id"]
        member.gateway("maintenance/alarm", {"action": "ACTIVATE", "memberID": number, **alarm})
    yield
    for one in site.etcd.members[0].gateway("maintenance/alarm", {"action": "GET", **alarm})["alarms"]:
        site.etcd.members[0].gateway("maintenance/alarm", {"action": "DEACTIVATE", **one})


@contextmanager
def leases_ended(site: Site) -> Iterator[None]:
    """F13, F14: everything that has a lease is gone in one moment, and nobody said goodbye."""
    site.end_leases()
    yield


@contextmanager
def workloads_deleted(site: Site) -> Iterator[None]:
    """F14: an operator deletes what every workload said of itself."""
    for key in site.keys("artemon/default/workloads/"):
        site.delete(key)
    yield


@contextmanager
def slow(site: Site) -> Iterator[None]:
    """F16: 200 ms each way between every daemon and the registry."""
    for line in every_line(site):
        line.delay = 0.2
    yield
    for line in every_line(site):
        line.delay = 0.0


@contextmanager
def cut_off(site: Site) -> Iterator[None]:
    """F30: one daemon sees nothing of the registry any more, and the others do."""
    lines = site.lines[site.chance.choice(site.everything()).name]
    for line in lines:
        line.cut = True
    yield
    for line in lines:
        line.cut = False


@contextmanager
def clock_jumped(site: Site) -> Iterator[None]:
    """F17: the time of day of one daemon is an hour off."""
    ill = site.chance.choice(site.everything())
    site.jump(ill, site.chance.choice((3600.0, -3600.0)))
    yield
    site.jump(ill, 0.0)


@contextmanager
def poisoned(site: Site) -> Iterator[None]:
    """F22: a value that nobody can read."""
    site.put(POISON, base64.b64encode(bytes(range(256))) + b"\xff\x00")
    yield
    site.delete(POISON)


def freeze(one: Process) -> None:
    """It stands still."""
    assert one.process
    one.process.send_signal(signal.SIGSTOP)


def thaw(one: Process) -> None:
    """It goes on."""
    assert one.process
    one.process.send_signal(signal.SIGCONT)


def every_line(site: Site) -> list[Line]:
    """Of every daemon."""
    return [line for lines in site.lines.values() for line in lines]


FAULTS: dict[str, Fault] = {
    "F1 kill -9 a pilotd": pilotd_killed,
    "F1 kill -9 all pilotds": partial(pilotd_killed, count=2),
    "F2 kill -9 a citadeld": partial(daemon_killed, name="citadeld"),
    "F3 kill -9 a galleyd": partial(daemon_killed, name="galleyd"),
    "F6 kill -9 a proxyd": proxyd_killed,
    "F8 kill -9 a member of the registry": member_killed,
    "F8 kill -9 the leader of the registry": leader_killed,
    "F9 the registry loses its quorum": quorum_lost,
    "F13 every lease is ended": leases_ended,
    "F14 the workloads are deleted": workloads_deleted,
    "F15 a pilotd starts without the registry": started_without_registry,
    "F16 the registry is slow": slow,
    "F17 a clock jumps by an hour": clock_jumped,
    "F22 a value that nobody can read": poisoned,
    "F26 a citadeld stands still": partial(paused, name="citadeld"),
    "F30 a daemon is cut off from the registry": cut_off,
    "F32 a pilotd stands still": partial(paused, name="pilotd"),
}
ONLY_ETCD: dict[str, Fault] = {
    "F10 history is compacted under a pilotd": compacted,
    "F12 etcd has no space": without_space,
}


def faults_of(registry: str) -> dict[str, Fault]:
    """What can be broken there, by name."""
    return FAULTS | (ONLY_ETCD if registry == "etcd" else {})
