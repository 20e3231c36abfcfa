"""Histories of many clients under faults drawn by seed: five runs here, `make histories RUNS=200` for more.

A run is repeated by its seed: ARTEMON_SEED=17 ARTEMON_HISTORIES=1.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from conftest import Open, require_consul, require_etcd
from consul_servers import Cluster
from history_check import History, Pair, Read, Write, problems, summary
from history_run import Run
from servers import EtcdCluster

RUNS, FIRST = int(os.environ.get("ARTEMON_HISTORIES", "5")), int(os.environ.get("ARTEMON_SEED", "1"))
SEEDS = range(FIRST, FIRST + RUNS)
SECONDS = 4.0


@pytest.fixture(scope="module")
def etcd_members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    require_etcd()
    cluster = EtcdCluster(tmp_path_factory.mktemp("etcd-histories")).start()
    yield cluster
    cluster.kill()


@pytest.fixture(scope="module")
def consul_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    require_consul()
    cluster = Cluster(tmp_path_factory.mktemp("consul-histories")).start()
    yield cluster
    cluster.kill()


@pytest.mark.etcd
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_history_of_etcd(seed: int, etcd_members: EtcdCluster, opened: Open, prefix: str) -> None:
    stores = [await opened(etcd_members.url, timeout=2) for _ in range(3)]
    run = Run(seed, prefix, stores, etcd_members.members)
    judge(run, await run.go(SECONDS, etcd_members.leader))
    for member in etcd_members.members:
        member.wait_healthy()


@pytest.mark.consul
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_history_of_consul(seed: int, consul_servers: Cluster, opened: Open, prefix: str) -> None:
    stores = [await opened(consul_servers.url, timeout=2) for _ in range(3)]
    run = Run(seed, prefix, stores, consul_servers.servers)

    def leader() -> object:
        consul_servers.wait_voters()  # a second fault before would end the quorum
        return consul_servers.leader()

    judge(run, await run.go(SECONDS, leader))


def judge(run: Run, history: History) -> None:
    print(f"{summary(history)}; {', '.join(run.faults)}")  # noqa: T201
    assert problems(history) == []
    assert sum(one.outcome == "ok" for one in history.writes) > 20
    assert run.faults


@pytest.mark.parametrize(
    ("history", "words"),
    [
        pytest.param(
            History([Write(("k",), "a", 0, 1, "ok", 5, 3), Write(("k",), "b", 2, 3, "ok", 6, 3)]),
            "two writes replaced version 3",
            id="two-winners",
        ),
        pytest.param(
            History([Write(("k",), "a", 0, 1, "ok", 5)], [Read("k", "old", 4, 2, 3)]),
            "version 4 after 5",
            id="stale-read",
        ),
        pytest.param(
            History([Write(("k",), "a", 0, 1, "never")], [Read("k", "a", 4, 2, 3)]),
            "said not to be applied",
            id="never",
        ),
        pytest.param(
            History([Write(("k",), "a", 0, 1, "ok", 4)], [Read("k", "b", 4, 2, 3)]),
            "but a was written",
            id="other-value",
        ),
        pytest.param(
            History([Write(("k",), "a", 0, 1, "refused", 0, 3)]), "nobody had replaced", id="refused"
        ),
        pytest.param(History(pairs=[Pair(("a", "b"), (3, 3))]), "torn", id="torn"),
        pytest.param(History(pairs=[Pair(("a", "a"), (3, 4))]), "torn", id="torn-versions"),
        pytest.param(History(fenced=[(3, 10), (7, 11), (3, 12)]), "after fence 7", id="two-leaders"),
        pytest.param(
            History([Write(("k",), "a", 0, 1, "ok", 5), Write(("k",), "b", 2, 3, "ok", 4)]),
            "version 4 after 5",
            id="back",
        ),
    ],
)
def test_the_checker_finds(history: History, words: str) -> None:
    assert any(words in problem for problem in problems(history))


def test_the_checker_accepts_what_can_have_happened() -> None:
    writes = [
        Write(("k",), "a", 0, 4, "ok", 5, 0),
        Write(("k",), "b", 1, 2, "unknown", 0, 5),
        Write(("k",), "c", 3, 6, "refused", 0, 5),
    ]
    reads = [Read("k", "a", 5, 3, 5), Read("k", "b", 6, 4, 5), Read("k", "b", 6, 5.5, 6)]
    assert problems(History(writes, reads, [Pair(("x", "x"), (3, 3))], [(3, 4), (3, 5), (6, 7)])) == []
