"""injectord as a process of its own, asked over TLS at a steady rate for pods of many shapes.

Latency counts from the moment when a review is due, so that one that waits for another counts as late."""

from __future__ import annotations

import asyncio
import itertools
import json
import ssl
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import psutil

from bench.report import Figure
from bench.telemetry import free_port
from bench.tls import self_signed

RATE = 50
REVIEWS = 1000
WARM = 50
_OWNER = {"kind": "ReplicaSet", "name": "web-5d9f", "apiVersion": "apps/v1", "controller": True}


def _container(name: str, **fields: Any) -> dict[str, Any]:
    variables = [{"name": f"SETTING_{number}", "value": "x" * 40} for number in range(20)]
    ports = [{"containerPort": 8080, "name": "http"}]
    return {"name": name, "image": f"registry.test/{name}:1", "ports": ports, "env": variables, **fields}


def _pods() -> Iterator[dict[str, Any]]:
    """One of each shape: annotations and what a spec has beside its containers."""
    probe = {"httpGet": {"port": "http", "path": "/ready"}, "periodSeconds": 5}
    own = {"name": "istio-proxy", "image": "auto", "resources": {"requests": {"cpu": "1"}}}
    shapes: list[tuple[dict[str, str], list[dict[str, Any]], dict[str, Any]]] = [
        ({}, [_container("app")], {}),
        ({}, [_container("app", readinessProbe=probe, livenessProbe={"grpc": {"port": 9000}})], {}),
        ({"proxy.istio.io/config": "concurrency: 2\n"}, [_container("app"), own], {}),
        ({"sidecar.istio.io/nativeSidecar": "false"}, [_container(f"app-{n}") for n in range(3)], {}),
        ({"inject.istio.io/templates": "gateway"}, [own], {}),
        ({"sidecar.istio.io/logLevel": "debug"}, [_container(f"app-{n}") for n in range(20)], {}),
        ({}, [_container("app")], {"initContainers": [_container("set-up")]}),
        ({}, [_container("app")], {"hostNetwork": True}),
        ({"sidecar.istio.io/proxyCPU": "many"}, [_container("app")], {}),
    ]  # fmt: skip
    for notes, containers, spec in shapes:
        labels = {"app": "web", "pod-template-hash": "5d9f"}
        meta = {"generateName": "web-5d9f-", "labels": labels, "ownerReferences": [_OWNER]}
        volumes = [{"name": f"data-{number}", "emptyDir": {}} for number in range(6)]
        whole = {"containers": containers, "volumes": volumes, **spec}
        yield {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**meta, "annotations": notes},
            "spec": whole,
        }


def _reviews() -> list[bytes]:
    version = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}
    resource = {"group": "", "version": "v1", "resource": "pods"}
    about = {"uid": "u", "operation": "CREATE", "namespace": "shop", "resource": resource}
    return [json.dumps({**version, "request": {**about, "object": pod}}).encode() for pod in _pods()]


async def _ask(session: aiohttp.ClientSession, url: str, body: bytes, due: float) -> float:
    """Seconds from when it was due until the whole answer was there."""
    async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as answer:
        said = await answer.json()
    assert said["response"]["uid"] == "u"
    return time.perf_counter() - due


async def _steady(session: aiohttp.ClientSession, url: str, count: int) -> list[float]:
    bodies, began, tasks = itertools.cycle(_reviews()), time.perf_counter(), []
    for number in range(count):
        due = began + number / RATE
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.ensure_future(_ask(session, url, next(bodies), due)))
    return list(await asyncio.gather(*tasks))


async def _listens(session: aiohttp.ClientSession, url: str) -> None:
    async with asyncio.timeout(120):
        while True:
            try:
                async with session.get(url):
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)


async def _measure(folder: Path) -> list[Figure]:
    certificate, key = self_signed(folder)
    port, http = free_port(), free_port()
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "injectord", "--listen", f"127.0.0.1:{port}", "--http", f"127.0.0.1:{http}"),
        *("--tls-cert", str(certificate), "--tls-key", str(key), "--tls-ca", str(certificate)),
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        context = ssl.create_default_context(cafile=str(certificate))
        connector = aiohttp.TCPConnector(ssl=context)
        async with aiohttp.ClientSession(connector=connector) as session:
            url = f"https://localhost:{port}/inject"
            await _listens(session, url)
            await _steady(session, url, WARM)
            process = psutil.Process(server.pid)
            before = sum(process.cpu_times()[:2])
            taken = await _steady(session, url, REVIEWS)
            spent = sum(process.cpu_times()[:2]) - before
            memory = process.memory_info().rss / 1e6
    finally:
        server.terminate()
        await server.wait()
    cuts = quantiles(taken, n=100)
    return [
        Figure("a review answered, p50", cuts[49] * 1e3, "ms"),
        Figure("the same, p99", cuts[98] * 1e3, "ms", goal=50),
        Figure("injectord's CPU for a review", spent / REVIEWS * 1e3, "ms"),
        Figure("injectord (RSS)", memory, "MB"),
    ]


def run() -> list[Figure]:
    """The figures."""
    with TemporaryDirectory() as folder:
        return asyncio.run(_measure(Path(folder)))
