"""What the intercepted path costs against nginx alone: 1 kB, by wrk, from one machine to another; with the
mesh's metrics and without. Machines are network namespaces, so that no network is measured, only processors.

`python -m bench.intercepted [SECONDS]` (`make bench-path`). Needs root, nftables, nginx and wrk. The
processor time of a request depends least on what else runs; latency and rate do.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), *(str(TESTS / "e2e" / name) for name in ("machines", "proxyd"))]

from machine_site import NAMESPACE, Control, Machine, wait  # noqa: E402
from netns import APP_UID, hosts, missing  # noqa: E402

from bench.report import Figure, show  # noqa: E402

PORT, CONNECTIONS = 8090, 8
_NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr;
events {{}}
http {{ access_log off; keepalive_requests 1000000000;
  server {{ listen {port}; location / {{ return 200 "{body}"; }} }} }}
"""
_METRICS = {
    "apiVersion": "telemetry.istio.io/v1",
    "kind": "Telemetry",
    "metadata": {"name": "metrics", "namespace": "istio-system"},
}
WITH = {**_METRICS, "spec": {"metrics": [{"providers": [{"name": "prometheus"}]}]}}
WITHOUT = {
    **_METRICS,
    "spec": {
        "metrics": [
            {
                "providers": [{"name": "prometheus"}],
                "overrides": [{"match": {"metric": "ALL_METRICS"}, "disabled": True}],
            }
        ]
    },
}
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


def _processor(name: str, *machines: Machine) -> float:
    """Seconds that all processes of this name have taken on these machines."""
    pids = " ".join(
        subprocess.run(
            ["ip", "netns", "pids", one.host.name], capture_output=True, text=True, check=True
        ).stdout
        for one in machines
    )
    found = (psutil.Process(int(pid)) for pid in pids.split())
    return float(sum(sum(one.cpu_times()[:2]) for one in found if one.name() == name))


def _run(title: str, client: Machine, server: Machine, seconds: int) -> list[Figure]:
    url = f"http://{server.host.ipv4}:{PORT}/"
    command = (
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{seconds}s",
        "--latency",
        "-H",
        f"Host: {server.service}.{NAMESPACE}:{PORT}",
        url,
    )
    client.host.run(*command[:3], "-d1s", *command[4:], uid=APP_UID)
    before = {name: _processor(name, client, server) for name in ("envoy", "nginx")}
    done = client.host.run(*command, uid=APP_UID, seconds=seconds + 60)
    spent = {name: _processor(name, client, server) - before[name] for name in before}
    assert done.returncode == 0, done.stderr
    assert "Non-2xx" not in done.stdout, done.stdout
    requests = int(_found(r"(\d+) requests in", done.stdout)[1])
    each = [
        Figure(f"{title}: {share} %", float(value[1]) * _UNITS[value[2]], "ms")
        for share in (50, 99)
        for value in [_found(rf"{share}%\s+([\d.]+)(us|ms|s)", done.stdout)]
    ]
    each.append(Figure(f"{title}: rate", float(_found(r"Requests/sec:\s+([\d.]+)", done.stdout)[1]), "1/s"))
    for name, title_of in (("envoy", "both Envoys"), ("nginx", "nginx")):
        each.append(Figure(f"{title}: processor of {title_of}", spent[name] / requests * 1e6, "us"))
    return each


def _found(pattern: str, text: str) -> re.Match[str]:
    found = re.search(pattern, text)
    assert found, text
    return found


def _say(
    control: Control, value: dict[str, object], client: Machine, server: Machine, *, counted: bool
) -> None:
    """Return when the proxies do as the Telemetry says."""
    asyncio.run(control._write("config/telemetries/istio-system/metrics", value))

    def counts() -> bool:
        before = _counted(client)
        client.call(server)
        return (_counted(client) > before) == counted

    wait(lambda: all(counts() for _ in range(3)), client.log.read_text)


def _counted(machine: Machine) -> float:
    """Requests that the mesh's metrics know of."""
    text = machine.host.check("curl", "-s", "http://127.0.0.1:15020/stats/prometheus")
    lines = (line for line in text.splitlines() if line.startswith("istio_requests_total{"))
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def measure(folder: Path, seconds: int) -> list[Figure]:
    """All figures."""
    with hosts(2) as (switch, one, two):
        control = Control(folder / "control", switch)
        control.start()
        ports = [{"name": f"http-{number}", "number": number, "protocol": "HTTP"} for number in (8080, PORT)]
        client, server = (
            Machine(folder, host, control, name, ports=ports)
            for host, name in ((one, "client"), (two, "server"))
        )
        conf = folder / "nginx.conf"
        conf.write_text(_NGINX.format(folder=folder, port=PORT, body="x" * 1024))
        two.start("nginx", "-c", str(conf), log=folder / "nginx.log")
        for machine in (client, server):
            machine.start()
            machine.wait_ready()
        found = _run("nginx alone", client, server, seconds)
        for machine in (client, server):
            machine.intercept("apply")
            machine.intercept("confirm")
        wait(lambda: client.call(server, port=PORT)[0] == 200, client.log.read_text)
        _say(control, WITHOUT, client, server, counted=False)
        found += _run("by both proxies, without metrics", client, server, seconds)
        _say(control, WITH, client, server, counted=True)
        return found + _run("by both proxies, with metrics", client, server, seconds)


def main() -> int:
    """Print the table; 1 with a line where it cannot be measured."""
    lacks = [name for name in ("nginx", "wrk", "curl") if shutil.which(name) is None]
    if reason := missing() or ("needs " + " and ".join(lacks) if lacks else ""):
        print(f"not measured: {reason}", file=sys.stderr)
        return 1
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        figures = measure(Path(name), seconds)
    show(
        f"1 kB by {CONNECTIONS} connections of HTTP/1.1, mutual TLS between the proxies, one thread each",
        figures,
    )
    print(
        f"load of the machine: {', '.join(f'{one:.1f}' for one in os.getloadavg())} on {os.cpu_count()} cores"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
