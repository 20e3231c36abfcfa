"""The demo as a user sees it: one command up, traffic, a change of weights, outages, one command down.

The tests of this file share one mesh and run in order: later ones break things and see them mended.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from chromium import chromium, find_browser

from meshctl.up.processes import load_processes, start_time
from meshctl.up.supervisor import STATE

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(300)]
NETWORK = "127.0.77.0/24"
QUIET_BROWSER = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-quic",
)  # fmt: skip

SPLIT = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
  namespace: bookinfo
spec:
  hosts:
    - reviews
  http:
    - route:
        - destination:
            host: reviews
            subset: v1
          weight: 90
        - destination:
            host: reviews
            subset: v3
          weight: 10
"""


@dataclass(frozen=True)
class Mesh:
    folder: Path

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "meshctl", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
            env={**os.environ, "XDG_CONFIG_HOME": str(self.folder / "xdg"), "PYTHONPATH": os.getcwd()},
        )

    def up(self) -> subprocess.CompletedProcess[str]:
        return self.run("up", "--demo", "--dir", str(self.folder / "mesh"), "--network", NETWORK)

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(
            self.run("status", "--dir", str(self.folder / "mesh"), "-o", "json").stdout
        )
        return answer

    def pids(self, *roles: str) -> dict[str, int]:
        return {p["name"]: p["pid"] for p in self.status()["processes"] if p["role"] in roles}


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    made = Mesh(tmp_path_factory.mktemp("demo"))
    brought = made.up()
    try:
        assert brought.returncode == 0, brought.stdout + brought.stderr
        yield made
    finally:
        made.run("down", "--dir", str(made.folder / "mesh"))


def get(mesh: Mesh, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(gateway(mesh) + path, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def gateway(mesh: Mesh) -> str:
    return "http://127.0.77.10:8080"


def eventually(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen within {seconds} s"
        time.sleep(0.1)


def split(mesh: Mesh, requests: int) -> Counter[str]:
    def version(_: int) -> str:
        status, body = get(mesh, "/api/v1/products/0/reviews")
        return json.loads(body)["version"] if status == 200 else f"HTTP {status}"

    with ThreadPoolExecutor(8) as pool:
        return Counter(pool.map(version, range(requests)))


def test_every_check_holds_and_status_says_so(mesh: Mesh) -> None:
    status = mesh.status()
    assert [check for check in status["checks"] if not check["ok"]] == []
    assert status["healthy"]
    assert status["gateway"] == gateway(mesh)
    assert {p["role"] for p in status["processes"]} >= {
        "supervisor",
        "pilotd",
        "citadeld",
        "galleyd",
        "proxyd",
        "envoy",
    }


def test_the_page_renders_with_every_service_and_identity(mesh: Mesh) -> None:
    status, page = get(mesh, "/productpage")
    assert status == 200
    for shown in ("The Comedy of Errors", "Reviewer1", "istio-ingressgateway", "bookinfo-productpage"):
        assert shown in page


@pytest.mark.browser
def test_who_calls_whom_is_seen_on_the_command_line(mesh: Mesh) -> None:
    def known(*command: str) -> Any:
        return json.loads(mesh.run(*command, "-o", "json").stdout)

    def edges() -> dict[tuple[str, str], dict[str, Any]]:
        get(mesh, "/productpage")
        found = known("graph", "--seconds", "300")["edges"]
        return {(one["source"], one["target"]): one for one in found}

    pair = ("bookinfo/productpage", "bookinfo/reviews")
    eventually(lambda: edges().get(pair, {}).get("mtls") == 1.0)
    eventually(lambda: any(one["spans"] >= 4 for one in known("traces")["items"]))
    trace = next(one["trace"] for one in known("traces")["items"] if one["spans"] >= 4)
    assert {one["namespace"] for one in known("traces", trace)["items"]} == {"bookinfo", "istio-system"}
    assert known("logs", "--service", "reviews")["items"]
    assert "bookinfo/reviews" in mesh.run("top", "--seconds", "300").stdout


@pytest.mark.browser
def test_the_dashboard_shows_who_calls_whom(mesh: Mesh) -> None:
    find_browser()
    get(mesh, "/productpage")
    environment = {**os.environ, "XDG_CONFIG_HOME": str(mesh.folder / "xdg"), "PYTHONPATH": os.getcwd()}
    command = [sys.executable, "-u", "-m", "meshctl", "dashboard", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as serving:
        assert serving.stdout is not None
        url = serving.stdout.readline().strip()
        try:
            with pytest.raises(urllib.error.HTTPError):
                urllib.request.urlopen(url.replace("/artemon/", "x/artemon/"), timeout=10)
            listed, shown = asyncio.run(_dashboard(f"{url}#bookinfo%2Freviews"))
            serving.send_signal(signal.SIGINT)
            assert serving.wait(timeout=30) == 0
        finally:
            serving.kill()
    assert "bookinfo/productpage" in listed
    for text in ("Versions in effect", "reviews-v2", "as it should be"):
        assert text in shown
    assert re.search(r"\d+ (s|min) old, \d+ min left", shown), "the age of a certificate"
    assert re.search(r"127\.0\.\d+\.\d+\s+proxy reviews-v2", shown.split("Endpoints")[1])


async def _dashboard(url: str) -> tuple[str, str]:
    """The list of services of the last hour, and what is told of the one that the address names."""
    async with chromium() as browser:
        page = await browser.new_page()
        page.set_default_timeout(90_000)
        await page.goto(url)
        await page.select_option("#window", "3600")
        for part in ("proxies", "endpoints", "traces", "logs"):
            await page.locator(f"#part-{part} h3").wait_for()
        return await page.locator("#list").inner_text(), await page.locator("#side").inner_text()


LIMIT = """
apiVersion: policy.artemon.io/v1
kind: RateLimit
metadata: {name: details, namespace: bookinfo}
spec:
  selector: {matchLabels: {app: details}}
  rules:
    - name: seven
      match: {path: {prefix: /details/7}}
      requests: 2
      per: 3600s
      scope: GLOBAL
      failOpen: false
"""


def test_mixerd_counts_requests_for_all_proxies(mesh: Mesh) -> None:
    applied = mesh.run("apply", "-f", "-", "--wait=60", stdin=LIMIT)
    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert "warning" not in applied.stderr

    def refused() -> bool:
        for _ in range(5):  # those on connections that were open before are not limited yet
            get(mesh, "/api/v1/products/7")
        command = ("logs", "--service", "details", "--code", "429", "--reporter", "destination", "-o", "json")
        return any(one["path"] == "/details/7" for one in json.loads(mesh.run(*command).stdout)["items"])

    eventually(refused, seconds=120)
    assert mesh.run("delete", "ratelimit", "details", "-n", "bookinfo").returncode == 0


def test_metrics_of_both_sides_have_istios_names(mesh: Mesh) -> None:
    def requests(host: str, *labels: str) -> list[str]:
        with urllib.request.urlopen(f"http://{host}:15020/stats/prometheus", timeout=10) as response:
            lines = response.read().decode().splitlines()
        named = [line for line in lines if line.startswith("istio_requests_total{")]
        return [line for line in named if all(label in line for label in labels)]

    source = ('reporter="source"', 'destination_workload="details"', 'source_workload="productpage"')
    eventually(lambda: bool(requests("127.0.77.11", *source)))
    target = ('reporter="destination"', 'source_workload="productpage"', 'security_policy="mutual_tls"')
    eventually(lambda: bool(requests("127.0.77.12", *target)))


def test_a_real_prometheus_finds_every_proxy_and_daemon(mesh: Mesh, tmp_path: Path) -> None:
    prometheus = shutil.which("prometheus")
    if prometheus is None:
        pytest.skip("prometheus is not installed")
    for one in Path("deploy/observability").iterdir():
        shutil.copy(one, tmp_path)
    shutil.copy(mesh.folder / "mesh" / "root-cert.pem", tmp_path)
    shutil.copy(mesh.folder / "mesh" / "admin.token", tmp_path / "token")
    settings = tmp_path / "prometheus.yml"
    settings.write_text(settings.read_text().replace("HOST", "127.0.77.1").replace("15s", "1s"))
    address = "127.0.77.250:9090"
    options = [f"--config.file={settings}", f"--storage.tsdb.path={tmp_path / 'data'}"]

    def asked(query: str) -> list[dict[str, Any]]:
        url = f"http://{address}/api/v1/query?{urlencode({'query': query})}"
        with urllib.request.urlopen(url, timeout=10) as response:
            result: list[dict[str, Any]] = json.load(response)["data"]["result"]
        return result

    def found() -> set[str]:
        by_proxy, by_daemon = (
            "count by (proxy) (istio_requests_total)",
            'count by (daemon) (up{daemon!=""} == 1)',
        )
        try:
            answers = [asked(query) for query in (by_proxy, by_daemon)]
            return {name for answer in answers for one in answer for name in one["metric"].values()}
        except OSError:
            return set()

    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(
            [prometheus, *options, f"--web.listen-address={address}"], stdout=log, stderr=log
        ) as running,
    ):
        try:
            get(mesh, "/productpage")
            wanted = {
                "ingressgateway",
                "productpage-v1",
                "details-v1",
                "pilotd",
                "mixerd",
                "galleyd",
                "citadeld",
            }
            eventually(lambda: wanted <= found(), seconds=120)
        finally:
            running.terminate()


def test_the_page_renders_in_a_browser(mesh: Mesh, tmp_path: Path) -> None:
    browser = find_browser()
    shown = subprocess.run(
        [
            browser,
            *QUIET_BROWSER,
            f"--user-data-dir={tmp_path}",
            "--dump-dom",
            gateway(mesh) + "/productpage",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert "<h1>The Comedy of Errors</h1>" in shown
    assert shown.count("spiffe://") >= 3


def test_a_second_up_is_harmless(mesh: Mesh) -> None:
    before = mesh.pids("pilotd", "citadeld", "galleyd", "proxyd", "envoy", "app", "supervisor")
    again = mesh.up()
    assert again.returncode == 0, again.stdout + again.stderr
    assert mesh.pids("pilotd", "citadeld", "galleyd", "proxyd", "envoy", "app", "supervisor") == before


def test_applied_weights_change_the_split(mesh: Mesh) -> None:
    applied = mesh.run("apply", "--wait", "-f", "-", stdin=SPLIT)
    assert applied.returncode == 0, applied.stderr
    assert "proxies in" in applied.stdout
    seen = split(mesh, 1000)
    assert seen.keys() == {"v1", "v3"}
    assert abs(seen["v1"] - 900) <= 30


STARTED = """
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: {name: reviews, namespace: bookinfo}
spec:
  selector: {matchLabels: {app: details}}
  concurrency: 2
"""


def test_how_envoy_is_started_changes_while_requests_flow(mesh: Mesh) -> None:
    with ThreadPoolExecutor(1) as pool:
        applied = pool.submit(mesh.run, "apply", "--wait", "-f", "-", stdin=STARTED)
        answers = Counter[int]()
        while not applied.done():
            answers[get(mesh, "/api/v1/products/0")[0]] += 1
    assert applied.result().returncode == 0, applied.result().stderr
    assert answers.keys() == {200}
    shown = mesh.run("proxy-config", "start", "details-v1", "-o", "json")
    assert json.loads(shown.stdout) == [{"name": "settings", "environment": {}, "concurrency": 2}]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        pytest.param("weight: 90", "weight: -1", "spec.http[0].route[0].weight", id="negative-weight"),
        pytest.param("  http:", "  hosst: []\n  http:", "spec.hosst", id="unknown-field"),
    ],
)
def test_a_bad_object_is_refused_with_its_path_and_changes_nothing(
    mesh: Mesh, old: str, new: str, reason: str
) -> None:
    before = mesh.run("get", "virtualservice", "reviews", "-n", "bookinfo", "-o", "json").stdout
    refused = mesh.run("apply", "-f", "-", stdin=SPLIT.replace(old, new))
    assert refused.returncode == 1
    assert reason in refused.stderr
    assert "Traceback" not in refused.stderr
    assert mesh.run("get", "virtualservice", "reviews", "-n", "bookinfo", "-o", "json").stdout == before


def test_requests_flow_with_every_daemon_dead_and_envoy_comes_back_from_its_cache(mesh: Mesh) -> None:
    processes = mesh.pids("supervisor", "pilotd", "galleyd", "citadeld", "mixerd", "envoy")
    for name in ("supervisor", "pilotd", "galleyd", "citadeld", "mixerd"):
        os.kill(processes[name], signal.SIGKILL)
    assert split(mesh, 100).keys() == {"v1", "v3"}
    os.kill(processes["envoy reviews-v1"], signal.SIGKILL)
    os.kill(processes["envoy productpage-v1"], signal.SIGKILL)
    eventually(lambda: split(mesh, 30).keys() == {"v1", "v3"} or split(mesh, 30).keys() == {"v1"})
    assert split(mesh, 100).keys() <= {"v1", "v3"}


def test_after_a_restart_everything_is_as_before(mesh: Mesh) -> None:
    failures: list[str] = []
    again = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "meshctl",
            "up",
            "--demo",
            "--dir",
            str(mesh.folder / "mesh"),
            "--network",
            NETWORK,
        ],
        env={**os.environ, "XDG_CONFIG_HOME": str(mesh.folder / "xdg"), "PYTHONPATH": os.getcwd()},
        stdout=subprocess.DEVNULL,
    )
    while again.poll() is None:
        failures += [version for version in split(mesh, 20) if version.startswith("HTTP")]
    assert again.returncode == 0
    assert failures == []
    assert mesh.status()["healthy"]
    assert split(mesh, 100).keys() == {"v1", "v3"}


def test_down_stops_exactly_what_was_started(mesh: Mesh) -> None:
    bystander = subprocess.Popen(["sleep", "300"])
    try:
        pids = [process["pid"] for process in mesh.status()["processes"]]
        down = mesh.run("down", "--dir", str(mesh.folder / "mesh"))
        assert down.returncode == 0, down.stderr
        assert [pid for pid in pids if start_time(pid)] == []
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait(10)
    assert mesh.run("down", "--dir", str(mesh.folder / "mesh")).returncode == 0


def test_a_port_in_use_is_one_line_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with socket.create_server(("127.0.78.10", 8080)):
        refused = Mesh(tmp_path).run(
            "up", "--demo", "--dir", str(tmp_path / "mesh"), "--network", "127.0.78.0/24"
        )
    assert refused.returncode == 1
    assert "127.0.78.10:8080 is in use" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "mesh" / "state.json").exists()


def test_an_up_that_is_ended_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "meshctl", "up", "--dir", str(tmp_path), "--network", "127.0.78.0/24"]
    settings = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path / "xdg"), "PYTHONPATH": os.getcwd()}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=settings) as up:
        eventually(lambda: len(load_processes(tmp_path / STATE)) > 1, 60)
        started = load_processes(tmp_path / STATE)
        up.terminate()
        said = up.communicate(timeout=90)[1]
    assert (up.returncode, "Traceback" in said) == (130, False), said
    assert "stopping what was started" in said
    assert [process.name for process in started if process.alive] == []
