"""What metrics and access logs cost Envoy: CPU a request, as a ratio to the same proxy without them; and how
much mixerd takes in with one core.

One sidecar a variant takes plaintext requests for an application, 8 connections at a time. Each round gives
every variant a slice of requests, in an order drawn anew, and compares each with what the two without
anything needed in the same round: what else the machine does meanwhile meets all of a round alike. CPU is
that of Envoy's worker by the scheduler's count (nanoseconds); Envoys have a core for themselves, client and
application another. The ratio is the median of those of all rounds, its interval from 2,000 resamplings of
the rounds.

Run: python -m bench.telemetry [--requests 400] [--rounds 100]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from envoy.service.accesslog.v3.als_pb2 import StreamAccessLogsMessage
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client import CollectorRegistry

from artemon.adapters import Place
from artemon.adapters.rulebook import rulebook
from artemon.daemon import envoy
from artemon.log import Log
from artemon.model.decode import decode, decode_mesh_config
from artemon.model.limit_terms import Terms
from artemon.registry.files import read_proxy, snapshot_of
from artemon.translate import messages
from artemon.translate.bootstrap import static_bootstrap
from artemon.xds.types import CLUSTER, ENDPOINTS, LISTENER, ROUTES
from mixerd import reading
from mixerd.dispatch import Dispatch
from mixerd.handling import Handlers, Pauses, Running
from mixerd.keep import Keep
from mixerd.limits import Limits
from mixerd.records import Reporter

CONNECTIONS = 8
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 200\r\n\r\n" + b"x" * 200
REQUEST = b"GET /a HTTP/1.1\r\nhost: web\r\n\r\n"
OFF = {"metrics": [{"overrides": [{"disabled": True}]}]}
LINES = {"accessLogging": [{"providers": [{"name": "lines"}]}]}
ALL_LABELS = {"request_host": {"value": "request.host"}, "method": {"value": "request.method"}}
VARIANTS: dict[str, dict[str, Any]] = {
    "nothing": OFF,
    "nothing, again": OFF,
    "metrics": {},
    "metrics, two labels written": {"metrics": [{"overrides": [{"tagOverrides": ALL_LABELS}]}]},
    "text log": {**OFF, **LINES},
}
BASE = ("nothing", "nothing, again")


def bootstrap(folder: Path, spec: dict[str, Any], port: int, app: int) -> Path:
    """The configuration of the sidecar under a Telemetry."""
    telemetry = {"apiVersion": "telemetry.istio.io/v1", "kind": "Telemetry", "spec": spec}
    mode = {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication"}
    mode["spec"] = {"mtls": {"mode": "DISABLE"}}  # type: ignore[assignment]
    objects = [{"metadata": {"name": "x", "namespace": "ns"}, **one} for one in (telemetry, mode)]
    providers = [
        {"name": "prometheus", "prometheus": {}},
        {"name": "lines", "envoyFileAccessLog": {"path": str(folder / "lines")}},
    ]
    mesh = decode_mesh_config({"extensionProviders": providers})
    ports = [{"name": "http", "number": 80, "protocol": "HTTP", "listenPort": port, "appPort": app}]
    metadata = {"INTERCEPTION_MODE": "NONE", "ARTEMON_PORTS": ports}
    proxy = read_proxy({"name": "web", "namespace": "ns", "ipAddresses": ["127.0.0.1"], "metadata": metadata})
    found = messages(snapshot_of(objects, mesh).view(proxy))
    made = static_bootstrap(
        proxy,
        listeners=found[LISTENER].values(),
        clusters=found[CLUSTER].values(),
        routes=found[ROUTES],
        endpoints=found[ENDPOINTS],
        credentials=None,
    )
    path = folder / "envoy.json"
    path.write_text(json.dumps(MessageToDict(made)))
    return path


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(ANSWER)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def load(port: int, requests: int) -> None:
    """Requests over some connections, each when the one before is answered."""

    async def one(count: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(count):
            writer.write(REQUEST)
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(200)
        writer.close()

    await asyncio.gather(*(one(requests // CONNECTIONS) for _ in range(CONNECTIONS)))


def worker_of(pid: int) -> Path:
    """The thread of an Envoy that serves requests."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return next(one for one in threads if (one / "comm").read_text().startswith("wrk:"))


def cpu(thread: Path) -> int:
    """Nanoseconds that a thread was on a processor."""
    return int((thread / "schedstat").read_text().split()[0])


def pin(pid: int, core: int) -> None:
    """Every thread of a process to one core, where there is more than one."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


def free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def measure(rounds: int, requests: int) -> dict[str, list[float]]:
    """Microseconds of Envoy's CPU a request, by variant, round by round."""
    cores = sorted(os.sched_getaffinity(0))
    pin(os.getpid(), cores[0])
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    app = server.sockets[0].getsockname()[1]
    found: dict[str, list[float]] = {name: [] for name in VARIANTS}
    chance = random.Random(1)
    with tempfile.TemporaryDirectory() as place:
        running: dict[str, tuple[subprocess.Popen[bytes], int]] = {}
        try:
            for number, (name, spec) in enumerate(VARIANTS.items()):
                running[name] = _started(Path(place) / str(number), spec, app)
            for process, port in running.values():
                await _until(port, process)
                pin(process.pid, cores[-1])
                await load(port, 2000)
            workers = {name: (worker_of(process.pid), port) for name, (process, port) in running.items()}
            for _ in range(rounds):
                for name, (worker, port) in chance.sample(sorted(workers.items()), len(workers)):
                    before = cpu(worker)
                    await load(port, requests)
                    found[name].append((cpu(worker) - before) / requests / 1000)
        finally:
            for process, _ in running.values():
                process.terminate()
                process.wait()
            server.close()
            await asyncio.sleep(0.5)  # the connections of the proxies end
    return found


def _started(folder: Path, spec: dict[str, Any], app: int) -> tuple[subprocess.Popen[bytes], int]:
    folder.mkdir()
    port = free_port()
    path = bootstrap(folder, spec, port, app)
    command = [str(envoy.find("")), "-c", str(path), "--use-dynamic-base-id", "-l", "off"]
    return subprocess.Popen([*command, "--concurrency", "1"]), port


def ratio(values: list[float], base: list[float]) -> tuple[float, float, float]:
    """The median of the ratios of pairs, and where it lies in 95 of 100 resamplings."""
    pairs, chance = [one / other for one, other in zip(values, base, strict=True)], random.Random(2)
    drawn = sorted(statistics.median(chance.choices(pairs, k=len(pairs))) for _ in range(2000))
    return statistics.median(pairs), drawn[50], drawn[-51]


async def _until(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        except OSError:
            await asyncio.sleep(0.1)
    raise SystemExit("Envoy does not listen")


def taken_in(folder: Path) -> None:
    """Spans from their message into the file, access log entries into counts, decisions about limits: a
    second of CPU, in one thread."""
    keep = Keep(folder / "bench.db", rows=1_000_000, seconds=3600)
    reporter = Reporter("ns", "page", "page-v1", "v1")
    message = ExportTraceServiceRequest()
    scopes = getattr(message.resource_spans.add(), reading.SCOPES).add()
    for number in range(500):
        span = scopes.spans.add(trace_id=os.urandom(16), span_id=os.urandom(8), name="GET /", kind=3)
        span.start_time_unix_nano, span.end_time_unix_nano = number, number + 1000
        for name in ("http.method", "http.url", "http.status_code", "upstream_cluster", "node_id"):
            span.attributes.add(key=name).value.string_value = "a value of usual length"
    data = message.SerializeToString()

    def spans() -> int:
        keep.write([], list(reading.spans(ExportTraceServiceRequest.FromString(data), reporter)))
        return 500

    limits, terms, number = Limits(), Terms("ns/api/all", 100, 60), itertools.count()

    def limit() -> int:
        limits.hit(terms, (f"user={next(number) % 10_000}",), 1, time.time())
        return 1

    logs = _reports(folder)
    for what, work in (
        ("spans, read and written", spans),
        ("decisions about limits", limit),
        ("log entries, without rules", lambda: logs(False)),
        ("log entries through a rule", lambda: logs(True)),
    ):
        began, done = time.process_time(), 0
        while time.process_time() - began < 2:
            done += work()
        print(f"{what:<30} {done / (time.process_time() - began):>12,.0f} a second of CPU")
    keep.close()


def _reports(folder: Path) -> Callable[[bool], int]:
    """What reads 500 entries from their message and, if told so, sends each through a rule with an expression
    to a handler that counts it by three labels."""
    params = {
        "metrics": [
            {"name": "b", "instance_name": "b", "kind": "COUNTER", "label_names": ["caller", "path", "code"]}
        ]
    }
    dimensions = {"caller": "source.workload.name", "path": "request.url_path", "code": "response.code"}
    actions = [{"handler": "b", "instances": ["b"]}]
    specs = {
        "rule": {"match": 'context.reporter.kind == "outbound" && response.code < 500', "actions": actions},
        "handler": {"compiledAdapter": "prometheus", "params": params},
        "instance": {"compiledTemplate": "metric", "params": {"value": "1", "dimensions": dimensions}},
    }
    kind, meta = {"apiVersion": "config.istio.io/v1alpha2"}, {"name": "b", "namespace": "ns"}
    book = rulebook(
        [decode({**kind, "kind": one, "metadata": meta, "spec": specs[one]}) for one in specs], root="x"
    )
    metrics, log = CollectorRegistry(), Log("bench")
    handlers = Handlers(folder=folder, metrics=metrics, log=log, now=time.time, most_bytes=64_000_000)
    config = book.handlers["ns/b"]
    place = Place("ns/b", log, metrics, folder, time.time)
    handler = config.adapter.open(config.params, place)
    running = Running(config, handler, handlers.budget, handlers.metrics, log, Pauses())
    handlers.running["ns/b"] = running
    dispatch = Dispatch(handlers, metrics, log, root="x")
    dispatch.become(book)
    message, reporter = StreamAccessLogsMessage(), Reporter("ns", "page", "page-v1", "v1")
    for number in range(500):
        entry = message.http_logs.log_entry.add()
        entry.common_properties.upstream_cluster = "outbound|9080|v1|reviews.ns.svc.cluster.local"
        entry.request.path, entry.response.response_code.value = f"/reviews/{number % 20}?q=1", 200
    data = message.SerializeToString()

    def taken(ruled: bool) -> int:
        for entry in StreamAccessLogsMessage.FromString(data).http_logs.log_entry:
            call = reading.request(entry, reporter)
            if ruled:
                dispatch.take(entry, call)
        while ruled and running.rows:
            asyncio.run(running.send())
        return 500

    return taken


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=100)
    asked = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.0f}, {os.cpu_count()} cores, {asked.rounds} rounds of {asked.requests}")
    found = asyncio.run(measure(asked.rounds, asked.requests))
    base = [(one + other) / 2 for one, other in zip(*(found[name] for name in BASE), strict=True)]
    print(f"{'variant':<30} {'us a request':>12} {'ratio':>6}  95% interval")
    for name, values in found.items():
        middle, low, high = ratio(values, found[BASE[1 - BASE.index(name)]] if name in BASE else base)
        print(f"{name:<30} {statistics.median(values):>12.1f} {middle:>6.3f}  {low:.3f}-{high:.3f}")
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    with tempfile.TemporaryDirectory() as place:
        taken_in(Path(place))


if __name__ == "__main__":
    main()
