"""Snapshot and translation: from nothing, and for one changed instance, to bytes for all proxies."""

from __future__ import annotations

import gc
import time
from statistics import median

from artemon.snapshot.build import build
from artemon.translate import Translator
from artemon.xds.request import Request
from artemon.xds.resource import Resources
from artemon.xds.session import Session
from artemon.xds.types import CLUSTER, ENDPOINTS, LISTENER, ROUTES
from artemon.xds.wire import Bodies
from bench import world as mesh
from bench.report import Figure

PROXIES = 200
ROUNDS = 20


def run() -> list[Figure]:
    """The figures."""
    started = time.perf_counter()
    world = mesh.world()
    read = time.perf_counter()
    snapshot = build(world)
    built = time.perf_counter()
    translator, bodies = Translator(), Bodies()
    proxies = list(mesh.proxies(PROXIES))
    first = translator.translate(snapshot.view(proxies[0]))
    one = time.perf_counter()
    desired = [translator.translate(snapshot.view(proxy)) for proxy in proxies]
    every = time.perf_counter()
    sessions = [_connected(resources, bodies) for resources in desired]
    sent = time.perf_counter()
    gc.collect()
    gc.freeze()
    rounds = []
    for number in range(1, ROUNDS + 1):
        began = time.process_time()
        changes = world.apply([mesh.change(number, 0, shift=number)], ("bench", number + 1))
        snapshot = build(world, snapshot, changes)
        translator.turn()
        size, answers = 0, []
        for index, proxy in enumerate(proxies):
            desired[index] = translator.translate(snapshot.view(proxy), desired[index])
            for response in sessions[index].owed(desired[index]):
                size += len(bodies.encode(response, response.nonce, delta=True))
                answers.append((sessions[index], Request(response.type_url, nonce=response.nonce)))
        rounds.append(time.process_time() - began)
        for session, answer in answers:
            session.receive(answer)
        assert size, "nothing was sent"
    total = sum(len(item.body) for url in first for item in first[url].items.values())
    return [
        Figure("read 10,000 instances of 1,000 services", (read - started) * 1e3, "ms"),
        Figure("snapshot from nothing (1,000 x 10)", (built - read) * 1e3, "ms", goal=1000),
        Figure(f"first proxy to bytes ({total / 1e6:.1f} MB)", (one - built) * 1e3, "ms"),
        Figure(f"{PROXIES} proxies in {mesh.NAMESPACES} namespaces to resources", (every - one) * 1e3, "ms"),
        Figure(f"{PROXIES} first responses of all types", (sent - every) * 1e3, "ms"),
        Figure(
            f"one instance changed to bytes for {PROXIES} proxies, CPU", median(rounds) * 1e3, "ms", goal=5
        ),
        Figure("the same per proxy", median(rounds) / PROXIES * 1e6, "us"),
    ]


def _connected(desired: Resources, bodies: Bodies) -> Session:
    """A session whose client has taken everything."""
    session = Session(delta=True)
    session.receive(Request(CLUSTER))
    session.receive(Request(LISTENER))
    session.receive(Request(ENDPOINTS, subscribe=tuple(desired[ENDPOINTS].items)))
    session.receive(Request(ROUTES, subscribe=tuple(desired[ROUTES].items)))
    while responses := session.owed(desired):
        for response in responses:
            bodies.encode(response, response.nonce, delta=True)
            session.receive(Request(response.type_url, nonce=response.nonce))
    return session
