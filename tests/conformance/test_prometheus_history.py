"""What a service was asked, as a real Prometheus kept it."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from servers import dying_with_parent, free_ports

from artemon.errors import ArtemonError
from artemon.log import Log
from mixerd.counts import Counts
from mixerd.desk import Desk
from mixerd.history import History
from mixerd.keep import Keep
from mixerd.pages import Pages

PATIENCE = 60.0
LABELS = 'reporter="destination",destination_service_namespace="shop",destination_service_name="reviews"'
CONFIG = """
global: {{scrape_interval: 1s}}
scrape_configs:
- job_name: proxies
  static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


class Proxy(BaseHTTPRequestHandler):
    """Counts 10 requests a second, one of which fails, all between 5 and 10 ms."""

    begun = time.monotonic()

    def do_GET(self) -> None:
        count = int((time.monotonic() - self.begun) * 10)
        name = "istio_request_duration_milliseconds_bucket"
        lines = [
            f'istio_requests_total{{{LABELS},response_code="200"}} {count - count // 10}',
            f'istio_requests_total{{{LABELS},response_code="503"}} {count // 10}',
            *(f'{name}{{{LABELS},le="{le}"}} {count if le != "5" else 0}' for le in ("5", "10", "+Inf")),
        ]
        body = ("\n".join(lines) + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed")
    folder, server = tmp_path_factory.mktemp("prometheus"), ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (folder / "prometheus.yml").write_text(CONFIG.format(port=server.server_address[1]))
    (port,) = free_ports(1)
    command = dying_with_parent(
        program,
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(timeout=30)
    server.shutdown()


async def test_rate_failures_and_latency(prometheus: str) -> None:
    history, deadline = History(prometheus + "/", time.time, least_step=2.0), time.monotonic() + PATIENCE
    while True:
        try:
            found = await history.of("shop", "reviews", 60)
            known = list(zip(*(found[name] for name in ("rate", "failed", "p99")), strict=True))
            # After the first samples the rate is too low.
            if all(value is not None for value in known[-1]) and known[-1][0] > 5:
                break
        except ArtemonError:  # it starts
            pass
        assert time.monotonic() < deadline, "nothing was kept"
        await asyncio.sleep(0.5)
    assert len(found["at"]) == 31
    rate, failed, p99 = known[-1]
    assert 5 < rate < 15
    assert 0 < failed < 3
    assert 5 < p99 <= 10
    assert (await history.of("shop", 'x"} or vector(1) #', 60))["rate"] == [None] * 31, "no other question"


async def test_who_may_not_see_a_namespace_is_told_nothing(prometheus: str, tmp_path: Path) -> None:
    keep = Keep(tmp_path / "x.db", rows=1000, seconds=60)
    desk = Desk(keep, Counts(seconds=60), CollectorRegistry(), Log("mixerd"), pending=100)
    pages = Pages(desk, history=History(prometheus, time.time))
    status, body = await pages.answer("/history?service=shop/reviews&namespaces=other")
    assert (status, json.loads(body)) == (200, {"configured": False, "at": []})
    assert (await pages.answer("/history?service=reviews"))[0] == 400
    assert (await pages.answer("/history?service=shop/reviews&seconds=5"))[0] == 400
    keep.close()


async def test_a_prometheus_that_is_away_is_told() -> None:
    (port,) = free_ports(1)
    with pytest.raises(ArtemonError, match=f"^http://127.0.0.1:{port}: "):
        await History(f"http://127.0.0.1:{port}", time.time).of("shop", "reviews", 60)
    with pytest.raises(
        ArtemonError, match=r'^prometheus: "localhost" must be like http://127\.0\.0\.1:9090$'
    ):
        History("localhost", time.time)
    assert await History("", time.time).of("shop", "reviews", 60) == {"configured": False, "at": []}
