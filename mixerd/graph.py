"""The graph of who calls whom, from counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from mixerd.counts import Count, Edge, total
from mixerd.records import DESTINATION, SOURCE

Node = tuple[str, str]
"""Namespace ("" for what is not of the mesh) and service."""
Counted = Mapping[Edge, Count]


def graph(
    counts: Counted, seconds: float, namespaces: Collection[str] | None = None, *, sides: bool = False
) -> dict[str, Any]:
    """Nodes and edges. What the caller's proxy tells counts where it tells something, since it sees failures
    that never arrived; the destination's proxy knows of encryption and of callers without a proxy.

    sides: also what the proxies of each side told, for who puts together what several mixerds heard.
    """
    pairs: defaultdict[tuple[Node, Node, str], dict[str, list[Count]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for edge, count in counts.items():
        source, target = (edge.source_namespace, edge.source), (edge.namespace, edge.service)
        if namespaces is None or {source[0], target[0]} & set(namespaces):
            pairs[source, target, edge.protocol][edge.reporter].append(count)
    edges = []
    for (source, target, protocol), told in sorted(pairs.items()):
        more = _sides(told, seconds) if sides else {}
        edges.append({**_edge(source, target, protocol, told, seconds), **more})
    nodes = services(counts, seconds, namespaces, sides=sides)
    return {"seconds": seconds, "nodes": nodes, "edges": edges}


def _sides(told: Mapping[str, list[Count]], seconds: float) -> dict[str, Any]:
    return {"sides": {reporter: _figures(total(some), seconds) for reporter, some in told.items()}}


def _edge(
    source: Node, target: Node, protocol: str, told: Mapping[str, list[Count]], seconds: float
) -> dict[str, Any]:
    shown = total(told.get(SOURCE) or told[DESTINATION])
    arrived = total(told.get(DESTINATION, ()))
    return {
        "source": "/".join(source),
        "target": "/".join(target),
        "protocol": protocol,
        "mtls": round(arrived.encrypted / arrived.calls, 3) if arrived.calls else None,
        **_figures(shown, seconds),
    }


def services(
    counts: Counted, seconds: float, namespaces: Collection[str] | None = None, *, sides: bool = False
) -> list[dict[str, Any]]:
    """Every service that called or was called, with what it was asked; versions as the proxies of the
    destination tell them."""
    asked: defaultdict[Node, dict[str, list[Count]]] = defaultdict(lambda: defaultdict(list))
    versions: defaultdict[Node, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    callers: set[Node] = set()
    for edge, count in counts.items():
        node = (edge.namespace, edge.service)
        asked[node][edge.reporter].append(count)
        callers.add((edge.source_namespace, edge.source))
        if edge.reporter == DESTINATION:
            versions[node][edge.version] += count.calls
    found = []
    for node in sorted({*asked, *callers}):
        if namespaces is None or node[0] in namespaces:
            told = asked.get(node, {})
            shown = total(told.get(DESTINATION) or told.get(SOURCE) or ())
            shares = {version or "-": number for version, number in sorted(versions[node].items())}
            one = {"name": "/".join(node), "external": not node[0], "versions": shares}
            more = _sides(told, seconds) if sides else {}
            found.append({**one, **_figures(shown, seconds), **more})
    return found


def _figures(count: Count, seconds: float) -> dict[str, Any]:
    return {
        "calls": count.calls,
        "rate": round(count.calls / seconds, 2),
        "failed": count.failed,
        "errors": round(count.failed / count.calls, 4) if count.calls else 0.0,
        "p50": count.quantile(0.5),
        "p99": count.quantile(0.99),
        "bytes": count.bytes,
    }
