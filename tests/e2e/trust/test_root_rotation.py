"""Rotations of the root under load: no request is lost, every phase waits, the log proves the order.

`make soak-rotation MINUTES=15` runs the same for longer.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator

import pytest
from real_envoy import envoy
from trust_load import Load
from trust_mesh import SPACE, Mesh, application

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(3600)]

MINUTES = float(os.environ.get("ARTEMON_SOAK_MINUTES", "0"))
CLIENTS = 7 if MINUTES else 2
LEAF_SECONDS = 60
PHASES = ["prepare", "trust", "activate", "taint", "revoke", "idle"]


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    envoy()
    made = Mesh(
        tmp_path_factory.mktemp("rotation"),
        ARTEMON_CITADELD_LEAF_SECONDS=str(LEAF_SECONDS),
        ARTEMON_CITADELD_ROTATION_DWELL_SECONDS="5",
    )
    try:
        made.up()
        made.join("echo", 20, protocol="HTTP", app=application(f"{made.net}.20"))
        citadels = [f"{made.control}:15013", *([made.second_citadel()] if MINUTES else [])]
        for number in range(CLIENTS):
            made.join(f"client{number}", 30 + number, citadeld=[citadels[number % len(citadels)]])
        made.ready(*made.workloads.values())
        made.apply(
            {
                "apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication",
                "metadata": {"name": "default", "namespace": SPACE}, "spec": {"mtls": {"mode": "STRICT"}},
            }
        )  # fmt: skip
        for name, client in made.workloads.items():
            if name != "echo":
                made.eventually(lambda client=client: made.ask(client, "echo") == 200, f"{name} asks")
        yield made
    finally:
        made.down()


def audited(mesh: Mesh) -> list[list[dict[str, str]]]:
    """The lines of citadeld's audit log, by replica."""
    logs = [mesh.home / "citadeld" / "audit.jsonl", mesh.folder / "citadel2" / "data" / "audit.jsonl"]
    return [[json.loads(line) for line in path.read_text().splitlines()] for path in logs if path.exists()]


def phases(mesh: Mesh) -> list[tuple[str, str]]:
    """(phase, new root) in the order in which whichever replica led wrote them down."""
    lines = sorted((line for lines in audited(mesh) for line in lines), key=lambda line: line["at"])
    return [(line["phase"], line["new"]) for line in lines if line["decision"] == "rotation"]


def issuers(mesh: Mesh) -> list[list[str]]:
    """The intermediate of each certificate that was issued, by replica."""
    return [[line["issuer"] for line in lines if line["decision"] == "issued"] for lines in audited(mesh)]


def root_of(mesh: Mesh) -> str:
    return str(json.loads(mesh.meshctl("ca", "status", "-o", "json"))["roots"][0])


def test_a_rotation_under_load_loses_nothing(mesh: Mesh) -> None:
    clients = [one for name, one in mesh.workloads.items() if name != "echo"]
    until, rounds, began = time.monotonic() + MINUTES * 60, 0, time.monotonic()
    first, seen = root_of(mesh), [len(issued) for issued in issuers(mesh)]
    with Load(mesh, clients, "echo") as load:
        while not rounds or time.monotonic() < until:
            before = root_of(mesh)
            said = mesh.meshctl("ca", "rotate", "--timeout", "600", seconds=900)
            assert "phase taint" in said
            assert root_of(mesh) != before
            rounds += 1
    minutes = (time.monotonic() - began) / 60
    issued = [one[then:] for one, then in zip(issuers(mesh), seen, strict=True)]
    told = [
        f"{rounds} root rotations in {minutes:.1f} min, {len(mesh.workloads)} proxies",
        f"{' and '.join(f'{len(one)} under {len(set(one))} intermediates' for one in issued)}: "
        f"certificates of {LEAF_SECONDS} s issued, by replica of citadeld",
        f"{sum(load.answers.values())} requests without retries: {len(load.failures)} failed",
    ]
    sys.stdout.write("\n" + "\n".join(told) + "\n")
    assert not load.failures, load.failures[:10]
    assert load.answers[200] > 100
    order = phases(mesh)
    assert [phase for phase, _ in order] == PHASES * rounds
    assert root_of(mesh) == order[-1][1] != first
    kinds = [set(one) for one in issued]
    assert all(len(one) >= rounds for one in kinds), "each replica issues, under one more in each rotation"
    assert len(set().union(*kinds)) == sum(map(len, kinds)), "no two replicas have an intermediate in common"


@pytest.mark.skipif(bool(MINUTES), reason="in the short run only")
def test_a_rotation_is_undone(mesh: Mesh) -> None:
    before, clients = root_of(mesh), [mesh.workloads["client0"]]
    with Load(mesh, clients, "echo") as load:
        mesh.meshctl("ca", "rotate", "--no-wait")
        mesh.meshctl("ca", "rollback", "--timeout", "600", seconds=900)
    assert not load.failures, load.failures[:10]
    assert root_of(mesh) == before
    mesh.meshctl("ca", "rollback", code=1)
