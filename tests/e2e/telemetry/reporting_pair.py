"""Two real Envoys and what they count: a page that calls reviews over mutual TLS, by HTTP, gRPC and TCP."""

from __future__ import annotations

import json
import os
import re
import socketserver
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import pytest
from servers import dying_with_parent, free_ports
from translated_proxy import Authority, printed

from artemon.daemon import envoy as binary
from artemon.model.metric_fields import TRACED
from proxyd.istio_metrics import IstioMetrics, Own

SERVER, CLIENT, GATE = "127.0.41.2", "127.0.41.3", "127.0.41.4"
SUBJECTS = {
    "page": "page-v1/page/v1/page/v1/east",
    "reviews": "reviews-v2/reviews/v2/reviews/v2/west",
    "gate": "gate-v1/gate/v1/gate/v1/east",
}
PATIENCE = 40.0


class Answers(BaseHTTPRequestHandler):
    """200, or what the path says, after as many seconds as its query says."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = b"x" * 100
        path, _, seconds = self.path.partition("?")
        time.sleep(float(seconds or 0))
        self.send_response(int(path.strip("/") or 200))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


class Returns(socketserver.BaseRequestHandler):
    """Sends back what it gets."""

    def handle(self) -> None:
        while data := self.request.recv(4096):
            self.request.sendall(data)


@dataclass
class Pair:
    """Where things are. tcp, broken: ports of the page's proxy that lead to reviews, and to nobody. http,
    tcp_in: ports of reviews. gate: that of the gateway, which runs where it is asked for. metrics: of a
    proxy, by its name."""

    proxy: int
    tcp: int
    http: int
    folder: Path
    broken: int = 0
    tcp_in: int = 0
    gate: int = 0
    admins: dict[str, Path] = field(default_factory=dict)

    def metrics(self, name: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """What a proxy shows, under Istio's names."""
        url = f"http://{self.admins[name].read_text()}/stats/prometheus?usedonly"
        with urllib.request.urlopen(url, timeout=10) as answer:
            text = answer.read().decode()
        return parsed(IstioMetrics(Own("default", SUBJECTS[name])).translated(text))

    def until(self, name: str, metric: str, **labels: str) -> tuple[dict[str, str], float]:
        """The labels and the value of the one series with these labels, once there is one."""
        deadline = time.monotonic() + PATIENCE
        while True:
            found = [
                (dict(key), value)
                for (one, key), value in self.metrics(name).items()
                if one == metric and labels.items() <= dict(key).items()
            ]
            if found:
                assert len(found) == 1, found
                return found[0]
            assert time.monotonic() < deadline, f"{name} has no {metric} with {labels}"
            time.sleep(0.2)


def parsed(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Istio's series."""
    found = {}
    for line in text.splitlines():
        match = re.fullmatch(r"(istio_\w+)\{(.*)\} (\S+)", line)
        if match:
            labels = tuple(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2]))
            assert (match[1], labels) not in found, f"twice: {line}"
            found[match[1], labels] = float(match[3])
    return found


def objects(listen: dict[str, int], more: list[dict[str, object]]) -> str:
    """The mesh: one service with three ports and one instance."""
    ports = [
        {"number": 9080, "name": "http", "protocol": "HTTP"},
        {"number": 9090, "name": "grpc", "protocol": "GRPC"},
        {"number": listen["outside"], "name": "tcp", "protocol": "TCP"},
    ]
    entry = {
        "hosts": ["reviews.default.svc.cluster.local"], "location": "MESH_INTERNAL", "resolution": "STATIC",
        "ports": ports, "workloadSelector": {"labels": {"app": "reviews"}},
    }  # fmt: skip
    workload = {
        "address": SERVER, "serviceAccount": "reviews",
        "ports": {name: listen[name] for name in ("http", "grpc", "tcp")},
        "labels": {"app": "reviews", "version": "v2"},
    }  # fmt: skip
    outgoing = [
        {"number": listen[name], "name": f"tcp-{name}", "protocol": "TCP"} for name in ("outside", "broken")
    ]
    sidecar = {
        "workloadSelector": {"labels": {"app": "page"}},
        "egress": [*({"port": port, "hosts": ["./*"]} for port in outgoing), {"hosts": ["./*"]}],
    }
    found: list[dict[str, object]] = [
        {"apiVersion": "networking.istio.io/v1", "kind": "Sidecar", "spec": sidecar},
        {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "spec": entry},
        {"apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry", "spec": workload},
    ]
    named = [{"metadata": {"name": "reviews-v2"}, **one} for one in (*found, *more)]
    return "\n---\n".join(map(json.dumps, named))


def translated(folder: Path, name: str, proxy: dict[str, object], certificates: Path) -> Path:
    """The bootstrap that the command line prints for a proxy."""
    config = folder / "config.yaml"
    more = ("--mesh-config", config) if config.exists() else ()
    made = json.loads(printed(folder, name, proxy, certificates, *more)) | {"statsFlushInterval": "1s"}
    path = folder / f"{name}.json"
    path.write_text(json.dumps(made))
    return path


@contextmanager
def running_pair(
    folder: Path,
    more: list[dict[str, object]] | Callable[[Pair], list[dict[str, object]]] | None = None,
    config: str = "",
    *,
    gateway: bool = False,
) -> Iterator[Pair]:
    """Both proxies at work, with the applications behind them; with a gateway before them if asked for."""
    with ExitStack() as stack:
        apps = {name: stack.enter_context(app) for name, app in _applications().items()}
        proxy, outside, http, rpc, tcp, broken, gate = free_ports(7)
        listen = {"http": http, "grpc": rpc, "tcp": tcp, "outside": outside, "broken": broken}
        pair, authority = Pair(proxy, outside, http, folder, broken, tcp, gate), Authority()
        if config:
            (folder / "config.yaml").write_text(config)
        extra = more(pair) if callable(more) else more or []
        (folder / "mesh.yaml").write_text(objects(listen, extra))
        ports = [
            {"name": "http", "number": 9080, "protocol": "HTTP", "listenPort": http, "appPort": apps["http"]},
            {"name": "grpc", "number": 9090, "protocol": "GRPC", "listenPort": rpc, "appPort": apps["grpc"]},
            {"name": "tcp", "number": outside, "protocol": "TCP", "listenPort": tcp, "appPort": apps["tcp"]},
        ]
        none = {"INTERCEPTION_MODE": "NONE"}
        proxies = {
            "reviews": {
                "ipAddresses": [SERVER],
                "labels": {"app": "reviews", "version": "v2"},
                "metadata": {**none, "ARTEMON_PORTS": ports},
            },
            "page": {
                "ipAddresses": [CLIENT],
                "labels": {"app": "page"},
                "metadata": {**none, "HTTP_PROXY_PORT": proxy},
            },
        }
        if gateway:
            door = {"type": "router", "ipAddresses": [GATE], "labels": {"istio": "gate", "app": "gate"}}
            proxies["gate"] = {**door, "metadata": none}
        for name, described in proxies.items():
            certificates = authority.issue(folder / "certs" / name, name, SUBJECTS[name])
            path = translated(folder, name, described, certificates)
            stack.enter_context(_envoy(path, pair.admins.setdefault(name, folder / f"{name}.admin"), folder))
        authority.issue(folder / "certs" / "bare", "bare", "")
        yield pair


def _applications() -> dict[str, object]:
    @contextmanager
    def serving(server: socketserver.BaseServer) -> Iterator[int]:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()
        server.server_close()

    @contextmanager
    def serving_grpc() -> Iterator[int]:
        server = grpc.server(ThreadPoolExecutor(2))
        methods = {
            "Unary": grpc.unary_unary_rpc_method_handler(lambda message, _: message),
            "Twice": grpc.stream_stream_rpc_method_handler(
                lambda messages, _: (one for one in messages for _ in range(2))
            ),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", methods),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield port
        server.stop(None)

    class Threading(socketserver.ThreadingTCPServer):
        daemon_threads = True

    http = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    return {
        "http": serving(http),
        "grpc": serving_grpc(),
        "tcp": serving(Threading(("127.0.0.1", 0), Returns)),
    }


@contextmanager
def _envoy(path: Path, admin: Path, folder: Path) -> Iterator[None]:
    options = [
        "--use-dynamic-base-id",
        "--concurrency",
        "1",
        "-l",
        "error",
        "--admin-address-path",
        str(admin),
    ]
    command = dying_with_parent(str(binary.find("")), "-c", str(path), *options)
    _, service, _, _, revision, cluster = SUBJECTS[path.stem].split("/")
    values = (service, revision, cluster)
    told = dict(zip(TRACED.values(), values, strict=True))  # as proxyd does
    with (folder / f"{path.stem}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env={**os.environ, **told})
    try:
        _until_live(process, admin)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def _until_live(process: subprocess.Popen[bytes], admin: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if urllib.request.urlopen(f"http://{admin.read_text()}/ready", timeout=5).status == 200:
                return
        except OSError:
            pass
        if process.poll() is not None:
            break
        time.sleep(0.1)
    pytest.fail("Envoy does not become ready")
