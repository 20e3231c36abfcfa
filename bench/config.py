"""Translation of much configuration: from nothing, after one change, and for one more proxy of a scope."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from statistics import median

from artemon.model.decode import decode
from artemon.model.proxy import Proxy
from artemon.snapshot.build import build
from artemon.snapshot.changes import Change, Upsert
from artemon.snapshot.snapshot import Snapshot
from artemon.translate import Translator
from bench import world as mesh
from bench.report import Figure

PROXIES = 1000
ROUNDS = 9


def virtual_service(service: int, *, weight: int = 50) -> Change:
    """Rules with a match, two shares and a timeout."""
    subsets = [{"destination": {"host": mesh.host(service), "subset": name}} for name in ("v1", "v2")]
    shares = [{**subsets[0], "weight": weight}, {**subsets[1], "weight": 100 - weight}]
    match = [{"uri": {"prefix": "/api"}, "headers": {"end-user": {"exact": "jason"}}}]
    http = [{"match": match, "route": subsets[:1]}, {"route": shares, "timeout": "5s"}]
    return _object("VirtualService", service, {"hosts": [mesh.host(service)], "http": http})


def destination_rule(service: int) -> Change:
    """Two subsets, limits and ejection."""
    policy = {
        "connectionPool": {"tcp": {"maxConnections": 100}},
        "outlierDetection": {"consecutive5xxErrors": 5},
    }
    subsets = [{"name": name, "labels": {"version": name}} for name in ("v1", "v2")]
    return _object(
        "DestinationRule",
        service,
        {"host": mesh.host(service), "trafficPolicy": policy, "subsets": subsets},
    )


def _object(kind: str, service: int, spec: dict[str, object]) -> Change:
    name, space = f"svc{service}", mesh.namespace(service)
    resource = decode(
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": kind,
            "metadata": {"name": name, "namespace": space},
            "spec": spec,
        }
    )
    return Upsert(f"config/{resource.kind.plural}/{space}/{name}", resource)


def _intercepting(count: int) -> Iterator[Proxy]:
    """Sidecars of one namespace."""
    for proxy in mesh.proxies(count):
        yield replace(proxy, namespace="ns0", intercepts=True, http_proxy_port=0)


def run() -> list[Figure]:
    """The figures."""
    return [*_figures("http_proxy", lambda count: [replace(p, namespace="ns0") for p in mesh.proxies(count)]),
            *_figures("interception", lambda count: list(_intercepting(count)))]  # fmt: skip


def _figures(how: str, proxies_of: Callable[[int], list[Proxy]]) -> Iterator[Figure]:
    world = mesh.world()
    for number in range(mesh.SERVICES):
        world.apply([virtual_service(number), destination_rule(number)])
    proxies = proxies_of(PROXIES)
    began = time.process_time()
    snapshot, translator = build(world), Translator()
    had = translator.translate(snapshot.view(proxies[0]))
    yield Figure(f"{how}: one proxy from nothing", (time.process_time() - began) * 1e3, "ms", goal=1500)
    rounds = []
    for number in range(ROUNDS):
        began = time.process_time()
        changes = world.apply([virtual_service(number, weight=number + 1)], ("bench", number + 2))
        snapshot = build(world, snapshot, changes)
        translator.turn()
        had = translator.translate(snapshot.view(proxies[0]), had)
        rounds.append(time.process_time() - began)
    yield Figure(f"{how}: one VirtualService changed", median(rounds) * 1e3, "ms", goal=10)
    yield Figure(f"{how}: one more sidecar", _one_more(snapshot, translator, proxies) * 1e3, "ms", goal=1)


def _one_more(snapshot: Snapshot, translator: Translator, proxies: list[Proxy]) -> float:
    """What each proxy costs when many of the scope are there."""
    costs = []
    for proxy in proxies[1:]:
        began = time.process_time()
        translator.translate(snapshot.view(proxy))
        costs.append(time.process_time() - began)
    return median(costs[len(costs) // 2 :])
