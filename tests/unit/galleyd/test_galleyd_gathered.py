"""What several mixerds know, as one."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from dashboard_mesh import calls, heard

from galleyd.gathered import gathered
from mixerd.pages import Pages


def figures(calls: int, failed: int = 0, p50: float = 1.0, p99: float = 2.0) -> dict[str, Any]:
    rate = calls / 60
    return {"calls": calls, "failed": failed, "rate": rate, "errors": 0.0, "p50": p50, "p99": p99, "bytes": 7}


def node(name: str, calls: int, **versions: int) -> dict[str, Any]:
    return {"name": name, "external": False, "versions": versions, **figures(calls)}


def test_services_and_calls_are_added_up() -> None:
    edge = {"source": "a/x", "target": "a/y", "protocol": "http"}
    one = {
        "seconds": 60.0,
        "nodes": [node("a/y", 30, v1=30)],
        "edges": [{**edge, "mtls": 1.0, **figures(30, 3, p50=4.0, p99=8.0)}],
    }
    two = {
        "seconds": 60.0,
        "nodes": [node("a/y", 10, v1=4, v2=6), node("a/z", 0)],
        "edges": [
            {**edge, "mtls": 0.5, **figures(10, 1, p50=8.0, p99=90.0)},
            {**edge, "target": "a/z", "mtls": None, **figures(0)},
        ],
    }
    found = gathered("graph", {"m1": one, "m2": two}, {})
    assert [(item["name"], item["calls"], item["versions"]) for item in found["nodes"]] == [
        ("a/y", 40, {"v1": 34, "v2": 6}),
        ("a/z", 0, {}),
    ]
    first, second = found["edges"]
    assert (first["calls"], first["failed"], first["errors"], first["mtls"]) == (40, 4, 0.1, 0.875)
    assert (first["p50"], first["p99"], second["mtls"]) == (5.0, 90.0, None)
    top = gathered(
        "top",
        {"m1": {"seconds": 60.0, "items": one["nodes"]}, "m2": {"seconds": 60.0, "items": two["nodes"]}},
        {},
    )
    assert [item["calls"] for item in top["items"]] == [40, 0]


def test_the_latest_lines_of_all() -> None:
    answers = {"m1": {"items": [{"at": 5.0}, {"at": 1.0}]}, "m2": {"items": [{"at": 3.0}]}}
    assert gathered("logs", answers, {"limit": "2"}) == {"items": [{"at": 5.0}, {"at": 3.0}]}


def test_a_trace_whose_spans_went_to_several() -> None:
    part = {"trace": "t", "start": 10, "duration": 9.0, "spans": 3, "failed": 0, "name": "page"}
    other = {**part, "start": 12, "duration": 4.0, "spans": 2, "failed": 1, "name": "reviews"}
    alone = {**part, "trace": "u", "start": 99}
    found = gathered("traces", {"m1": {"items": [other]}, "m2": {"items": [alone, part]}}, {})
    assert found["items"] == [alone, {**part, "spans": 5, "failed": 1}]
    longer = {**other, "start": 10 + 4_000_000, "duration": 7.5}
    found = gathered("traces", {"m1": {"items": [longer]}, "m2": {"items": [part]}}, {})
    assert found["items"][0]["duration"] == 11.5, "from the first beginning to the last end"
    spans = gathered("trace", {"m1": {"items": [{"start": 2}]}, "m2": {"items": [{"start": 1}]}}, {})
    assert [one["start"] for one in spans["items"]] == [1, 2]


def test_handlers_of_every_mixerd() -> None:
    problem = {"object": "rule/a/b", "reason": "no"}
    answers = {
        "m1": {"items": [{"name": "a/h", "state": "ok"}], "problems": [problem]},
        "m2": {"items": [{"name": "a/h", "state": "failing"}], "problems": [problem]},
    }
    found = gathered("handlers", answers, {})
    assert [(one["mixerd"], one["state"]) for one in found["items"]] == [("m1", "ok"), ("m2", "failing")]
    assert found["problems"] == [problem]


def test_what_all_have_is_the_firsts() -> None:
    assert gathered("history", {"m1": {"at": [1]}, "m2": {"at": [2]}}, {}) == {"at": [1]}
    knows = {"configured": True, "at": [2]}
    assert gathered("history", {"m1": {"configured": False, "at": []}, "m2": knows}, {}) == knows
    assert gathered("logs", {"m1": {"items": [{"at": 1.0}]}}, {}) == {"items": [{"at": 1.0}]}


SURE = ("calls", "rate", "failed", "errors", "bytes")


@pytest.mark.parametrize("mixerds", [2, 3])
async def test_several_know_what_one_would(tmp_path: Path, mixerds: int) -> None:
    """Each proxy tells one of them: of one call two may hear, the caller's and the destination's."""
    told: dict[str, int] = {}
    chance = random.Random(mixerds)
    every = list(calls(12))
    parts: list[list[Any]] = [[] for _ in range(mixerds)]
    for call in every:
        proxy = call.source if call.reporter == "source" else call.service
        parts[told.setdefault(proxy, chance.randrange(mixerds))].append(call)
    assert all(parts)

    async def page(name: str, heard_calls: list[Any], folder: str) -> Any:
        where = tmp_path / folder
        where.mkdir(exist_ok=True)
        async with heard(where, heard_calls, []) as desk:
            status, body = await Pages(desk).answer(f"/{name}?seconds=60&sides=&limit=1000")
        assert status == 200
        return json.loads(body)

    for name, rows, key in (
        ("graph", "edges", "source target"),
        ("graph", "nodes", "name"),
        ("top", "items", "name"),
    ):
        one = await page(name, every, f"{name}-{rows}")
        several = {
            str(number): await page(name, part, f"{name}-{rows}-{number}")
            for number, part in enumerate(parts)
        }
        found = gathered(name, several, {})
        assert figures_of(found[rows], key) == figures_of(one[rows], key)
        assert all("sides" not in row for row in found[rows])


def figures_of(rows: list[Any], key: str) -> dict[Any, Any]:
    same = ("versions", "mtls")
    return {
        tuple(row[name] for name in key.split()): (
            *(pytest.approx(row[name], abs=0.03) for name in SURE),
            *(row.get(name) for name in same),
        )
        for row in rows
    }
