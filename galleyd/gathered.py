"""What several mixerds know, as one: each proxy tells one of them, so they know of different requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Answer = dict[str, Any]
SOURCE, DESTINATION = "source", "destination"
SIDED = frozenset({"graph", "top"})
"""Pages that each mixerd must answer with what the proxies of each side told (`sides`)."""
LIMIT = 50
"""Rows where nobody says how many (mixerd's own)."""


def gathered(page: str, answers: Mapping[str, Answer], query: Mapping[str, str]) -> Answer:
    """One answer of those of all mixerds, by address. Rates and counts are sums; the median is that of each,
    by its calls; p99 the longest. Pages that all have the same are the first's that has something to tell."""
    found = list(answers.values())
    merge = _PAGES.get(page)
    if page == "handlers":
        return _handlers(answers)
    if merge is not None and len(found) > 1:
        return merge(found, query)
    return next((one for one in found if one.get("configured")), found[0])


def _limit(query: Mapping[str, str]) -> int:
    text = query.get("limit", "")
    return int(text) if text.isdigit() else LIMIT


def _handlers(answers: Mapping[str, Answer]) -> Answer:
    items = [{**one, "mixerd": address} for address, found in answers.items() for one in found["items"]]
    problems = {str(sorted(one.items())): one for found in answers.values() for one in found["problems"]}
    return {"items": sorted(items, key=lambda one: str(one["name"])), "problems": list(problems.values())}


def _logs(found: Sequence[Answer], query: Mapping[str, str]) -> Answer:
    items = [one for answer in found for one in answer["items"]]
    return {"items": sorted(items, key=lambda one: float(one["at"]), reverse=True)[: _limit(query)]}


def _trace(found: Sequence[Answer], _: Mapping[str, str]) -> Answer:
    items = [one for answer in found for one in answer["items"]]
    return {"items": sorted(items, key=lambda one: int(one["start"]))}


def _traces(found: Sequence[Answer], query: Mapping[str, str]) -> Answer:
    """Spans of one trace may have gone to several."""
    merged: dict[str, Answer] = {}
    for one in (one for answer in found for one in answer["items"]):
        known = merged.get(one["trace"])
        if known is None:
            merged[one["trace"]] = one
            continue
        first, later = sorted((known, one), key=lambda part: int(part["start"]))
        ends = max(part["start"] + part["duration"] * 1e6 for part in (first, later))
        merged[one["trace"]] = {
            **first,
            "spans": first["spans"] + later["spans"],
            "failed": first["failed"] + later["failed"],
            "duration": round((ends - first["start"]) / 1e6, 6),
        }
    items = sorted(merged.values(), key=lambda one: float(one["start"]), reverse=True)
    return {"items": items[: _limit(query)]}


def _top(found: Sequence[Answer], _: Mapping[str, str]) -> Answer:
    items = _services(one for answer in found for one in answer["items"])
    return {**found[0], "items": sorted(items, key=lambda one: (-one["calls"], one["name"]))}


def _graph(found: Sequence[Answer], _: Mapping[str, str]) -> Answer:
    edges: dict[tuple[str, ...], list[Answer]] = {}
    for one in (one for answer in found for one in answer["edges"]):
        edges.setdefault((one["source"], one["target"], one["protocol"]), []).append(one)
    merged = [{**_told(many, SOURCE, DESTINATION), "mtls": _share(many)} for _, many in sorted(edges.items())]
    nodes = _services(one for answer in found for one in answer["nodes"])
    return {**found[0], "nodes": sorted(nodes, key=lambda one: str(one["name"])), "edges": merged}


def _services(items: Iterable[Answer]) -> list[Answer]:
    named: dict[str, list[Answer]] = {}
    for one in items:
        named.setdefault(one["name"], []).append(one)
    return [{**_told(many, DESTINATION, SOURCE), "versions": _versions(many)} for many in named.values()]


def _told(many: Sequence[Answer], *sides: str) -> Answer:
    """What is the same of all, and the figures of the first side that told something to any mixerd: a request
    that both proxies told, each to another mixerd, is one."""
    by_side = [one.get("sides", {sides[0]: one}) for one in many]
    told = [[one[side] for one in by_side if side in one] for side in sides]
    rest = {name: value for name, value in many[0].items() if name != "sides"}
    return {**rest, **_figures(next(filter(None, told), []))}


def _versions(many: Sequence[Answer]) -> dict[str, int]:
    total: dict[str, int] = {}
    for name, number in (pair for one in many for pair in one["versions"].items()):
        total[name] = total.get(name, 0) + number
    return dict(sorted(total.items()))


def _figures(many: Sequence[Answer]) -> Answer:
    calls, failed = (sum(one[name] for one in many) for name in ("calls", "failed"))
    middle = sum(one["p50"] * one["calls"] for one in many) / calls if calls else 0.0
    return {
        "calls": calls,
        "rate": round(sum(one["rate"] for one in many), 2),
        "failed": failed,
        "errors": round(failed / calls, 4) if calls else 0.0,
        "p50": round(middle, 2),
        "p99": max((one["p99"] for one in many), default=0.0),
        "bytes": sum(one["bytes"] for one in many),
    }


def _share(many: Sequence[Answer]) -> float | None:
    """Of calls over mutual TLS, by what the destinations' proxies told."""
    arrived = [(one, one.get("sides", {}).get(DESTINATION, one)) for one in many]
    told = [(one["mtls"], side["calls"]) for one, side in arrived if one["mtls"] is not None]
    calls = sum(number for _, number in told)
    return round(sum(share * number for share, number in told) / calls, 3) if calls else None


_PAGES: Mapping[str, Callable[[Sequence[Answer], Mapping[str, str]], Answer]] = {
    "logs": _logs,
    "trace": _trace,
    "traces": _traces,
    "top": _top,
    "graph": _graph,
}
