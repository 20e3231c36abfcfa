"""What the chaos lane does to proxies and to what they are told: it must cost no other proxy's request."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

from chaos_faults import Site, freeze, thaw
from etcd_relay import changing_relay
from live_mesh import Process, wait
from losing import Losing
from meshlet import ROOT
from whole_site import URL

STORM, STUCK, CHANGES = 300, 50, 8
STUCK_MB = 64
"""What those that are stuck may cost a pilotd."""
FILTERS = "/apis/networking.istio.io/v1alpha3/namespaces/shop/envoyfilters"
BROKEN = {
    "apiVersion": "networking.istio.io/v1alpha3",
    "kind": "EnvoyFilter",
    "metadata": {"name": "broken"},
    "spec": {
        "configPatches": [
            {
                "applyTo": "HTTP_FILTER",
                "match": {"context": "SIDECAR_OUTBOUND"},
                "patch": {
                    "operation": "INSERT_FIRST",
                    "value": {
                        "name": "broken",
                        "typed_config": {
                            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
                            "default_source_code": {"inline_string": "function envoy_on_request("},
                        },
                    },
                },
            }
        ]
    },
}
"""Takes the form that it must, and no Envoy takes it: the script does not end."""


@contextmanager
def envoy_killed(site: Site) -> Iterator[None]:
    """F7: while no daemon says anything, Envoy dies, and perhaps its proxyd: the disk has what they need."""
    agent, daemons = site.bystander.agent, site.everything()
    for one in daemons:
        freeze(one)
    try:
        both = site.chance.random() < 0.5
        if both:
            agent.kill()
        for pid in agent.envoys():
            os.kill(pid, signal.SIGKILL)
        if both:
            agent.start()
        seconds = wait(lambda: site.bystander.get(URL)[0] == 200, "an Envoy that died serves again", 90)
        site.notes.append(f"served again after {seconds:.1f} s{', proxyd died too' if both else ''}")
        yield
    finally:
        for one in daemons:
            thaw(one)


@contextmanager
def storm(site: Site) -> Iterator[None]:
    """F18: many proxies come to one pilotd at once, and leave, again and again."""
    with _strangers(site, STORM, "storm") as told:
        yield
        wait(lambda: "in step" in told(), "everybody in a storm is served", 180)
        site.notes.append(told().splitlines()[0])


@contextmanager
def stuck(site: Site) -> Iterator[None]:
    """F19: many proxies ask, and read nothing of what they are told, which is more and more."""
    before = [_memory(pilot) for pilot in site.pilots]
    with _strangers(site, STUCK, "stuck") as told:
        wait(lambda: "are stuck" in told(), "they have asked", 120)
        for _ in range(CHANGES):
            assert site.apply(0, f"f19-{site.chance.randrange(1 << 30):x}.example.com", "/") == 201
        yield
        grown = max(_memory(pilot) - old for pilot, old in zip(site.pilots, before, strict=True))
        assert grown < STUCK_MB, f"a pilotd grew by {grown} MB"
        site.notes.append(f"{told().strip()}; a pilotd grew by {grown} MB")


def _memory(pilot: Process) -> int:
    """Resident memory in MB."""
    assert pilot.process
    return int(Path(f"/proc/{pilot.process.pid}/statm").read_text().split()[1]) * 4096 // 1_000_000


@contextmanager
def refused(site: Site) -> Iterator[None]:
    """F20: Envoys refuse what galleyd took; they go on with what they have, and the culprit is named."""
    galleyd = site.daemons["galleyd"][0]
    assert site.https(galleyd, "POST", FILTERS, BROKEN) == 201
    try:
        wait(lambda: _refusals(site), "somebody refuses, and says what", 60)
        site.notes.append(f"refused: {', '.join(sorted(_refusals(site)))}")
        yield
    finally:
        assert site.https(galleyd, "DELETE", f"{FILTERS}/broken", None) == 200


def _refusals(site: Site) -> set[str]:
    types = [one["types"] for pilot in site.pilots for one in pilot.page("/debug/syncz")]
    found = [state["nacked"] for one in types for state in one.values() if state.get("nacked")]
    return {str(one["resource"]) for one in found if one["resource"]}


@contextmanager
def watch_loses(site: Site) -> Iterator[None]:
    """F11: what etcd tells one pilotd is lost, repeated or late; what it missed, it finds out."""
    ill = site.chance.choice(site.pilots)
    lines, losing = site.lines[ill.name], Losing(site.chance.randrange(1 << 30), share=0.3)
    targets = [line.target for line in lines]
    with _losing_relays(targets, losing) as ports:
        for line, port in zip(lines, ports, strict=True):
            line.target = port
            line.hang_up()
        try:
            known = ill.metric("pilot_virt_services")
            for _ in range(CHANGES):
                assert site.apply(0, f"f11-{site.chance.randrange(1 << 30):x}.example.com", "/") == 201
            yield
            wanted = known + CHANGES
            seconds = wait(
                lambda: ill.metric("pilot_virt_services") == wanted, "what was lost is known all the same", 90
            )
            site.notes.append(f"{len(losing.lost)} events lost; all is known {seconds:.1f} s later")
        finally:
            for line, target in zip(lines, targets, strict=True):
                line.target = target
                line.hang_up()


@contextmanager
def _strangers(site: Site, count: int, way: str) -> Iterator[Any]:
    """While the block runs; yields what tells what they said."""
    pilot, agent = site.chance.choice(site.pilots), site.bystander.agent
    account, log = str(agent.settings["service_account"]), site.folder / f"{way}.log"
    words = (str(pilot.settings["listen"]), str(agent.data), account, str(count), way)
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("strangers.py")), *words],
            stdout=out,
            stderr=out,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    try:
        yield log.read_text
    finally:
        process.kill()
        process.wait()


@contextmanager
def _losing_relays(targets: list[int], losing: Losing) -> Iterator[list[int]]:
    """Ports of relays to members of etcd, in a thread of their own."""
    loop, ports, stop, up = asyncio.new_event_loop(), list[int](), asyncio.Event(), threading.Event()

    async def run() -> None:
        async with AsyncExitStack() as stack:
            for target in targets:
                ports.append(await stack.enter_async_context(changing_relay(target, losing.stream)))
            up.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), name="losing")
    thread.start()
    assert up.wait(30)
    try:
        yield ports
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


PROXIES: dict[str, Any] = {
    "F7 kill -9 an Envoy while the control plane stands still": envoy_killed,
    "F18 a storm of proxies": storm,
    "F19 proxies that read nothing": stuck,
    "F20 Envoys refuse what they are told": refused,
}
"""By name."""
ONLY_ETCD: dict[str, Any] = {"F11 what etcd tells a pilotd is lost": watch_loses}


def proxy_faults_of(registry: str) -> dict[str, Any]:
    """What can be done there, by name."""
    return PROXIES | (ONLY_ETCD if registry == "etcd" else {})
