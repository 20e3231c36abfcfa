"""A mesh installed into a cluster: its daemons have the tokens and rights of their service accounts there."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from attestation_site import AUDIENCE, account, pod, token
from injection_site import Daemon
from kube_server import KubeApi, until
from servers import dying_with_parent, free_ports

from artemon.daemon.secrets_key import make_key_file

API = "https://kubernetes.default.svc"
SYSTEM = "artemon-system"
EVERYWHERE = "0.0.0.0"
NS = "/api/v1/namespaces/shop"
ROUTES = "/apis/networking.istio.io/v1/namespaces/shop/virtualservices"


def route(name: str, *, code: int = 418, path: str = "/tea", host: str = "web") -> dict[str, Any]:
    fault = {"abort": {"httpStatus": code, "percentage": {"value": 100}}}
    target = [{"destination": {"host": host}}]
    http = [{"match": [{"uri": {"prefix": path}}], "fault": fault, "route": target}, {"route": target}]
    spec = {"hosts": [host], "http": http}
    meta = {"name": name, "namespace": "shop"}
    return {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": meta, "spec": spec}


def own_address() -> str:
    """An address of this machine that is not loopback: Kubernetes takes no others for endpoints."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing
        return str(probe.getsockname()[0])


def ports_apart(offset: int) -> int:
    """A free port whose neighbour so far on is free as well."""
    while True:
        port = free_ports(1)[0]
        with socket.socket() as probe:
            try:
                probe.bind((EVERYWHERE, port + offset))
            except OSError:
                continue
        return port


class Page:
    """An HTTP server that says its name, on `own_address`."""

    def __init__(self, name: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("content-length", str(len(name)))
                self.end_headers()
                self.wfile.write(name.encode())

            def log_message(self, *_: Any) -> None:
                return

        self.address = own_address()
        self._server = ThreadingHTTPServer((self.address, 0), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class ClusterMesh:
    """citadeld, pilotd and galleyd over one registry, for one cluster that is called east.

    Pods and machines in network namespaces reach the first two at any address of this machine; citadeld takes
    those who join at its port plus 3.
    """

    def __init__(self, folder: Path, kube: KubeApi) -> None:
        self.kube, self.folder = kube, folder
        self.galley_port, pilot, *http = free_ports(5)
        renew = ports_apart(3)
        join = renew + 3
        self.root = folder / "ca" / "root-cert.pem"
        self.registry = ("--registry", f"sqlite://{folder / 'mesh.db'}")
        self._http, self._pilot = http, pilot
        self.renew_port, self.pilot_port = renew, pilot
        self._citadeld = (f"127.0.0.1:{renew}", f"127.0.0.1:{join}")
        self.daemons: list[Daemon] = []
        self.sidecar: subprocess.Popen[bytes] | None = None

    def install(self, *flags: str) -> None:
        """What an operator does in the cluster first."""
        self.meshctl("install", "--kubeconfig", str(self.kube.kubeconfig()), *flags)

    def start(self) -> ClusterMesh:
        make_key_file(self.folder / "secrets.key")
        sealed = ("--secrets-key-file", str(self.folder / "secrets.key"))
        where = f"kubernetes://{self._kubeconfig('citadeld')}"
        where += f"?audience={AUDIENCE}%2Cistio-ca&identities={SYSTEM}%2Cshop%2Cpods"
        self._run(
            "citadeld",
            *("--data-dir", str(self.folder / "ca"), *self.registry),
            *("--listen", f"{EVERYWHERE}:{self.renew_port}"),
            *(
                "--join-listen",
                f"{EVERYWHERE}:{self.renew_port + 3}",
                "--socket",
                str(self.folder / "c.sock"),
            ),
            *("--attestors", f"certificate:,token:,{where}", "--leaf-seconds", "3600"),
            *(
                "--clusters",
                f"kubernetes://{self._kubeconfig('citadeld')}?name=east&namespaces=shop%2Cpods&secrets=shop",
            ),
        )
        self._run(
            "galleyd",
            *(*self.registry, *self._identity("galleyd"), "--state-dir", str(self.folder / "galleyd-state")),
            *("--listen", f"127.0.0.1:{self.galley_port}", "--clusters", self._cluster(), *sealed),
        )
        self._run(
            "pilotd",
            *(*self.registry, *self._identity("pilotd"), "--data-dir", str(self.folder / "pilotd-data")),
            *("--listen", f"{EVERYWHERE}:{self._pilot}", *sealed),
            *("--registries", f"kubernetes://{self._kubeconfig('pilotd')}?name=east&proof=0.5"),
        )
        return self

    def _cluster(self) -> str:
        where = f"kubernetes://{self._kubeconfig('galleyd')}?name=east&webhook=artemon-validator"
        return f"{where}&secrets=shop%2Clent"

    def _run(self, name: str, *flags: str) -> None:
        daemon = Daemon(name, self.folder, self._http[len(self.daemons)], *flags)
        self.daemons.append(daemon)
        daemon.start()

    def _kubeconfig(self, account: str) -> Path:
        return self.kube.kubeconfig(token(self.kube, SYSTEM, account, audiences=(API,)))

    def _identity(self, account: str) -> tuple[str, ...]:
        shown = self.folder / f"{account}.token"
        shown.write_text(token(self.kube, SYSTEM, account))
        shown.chmod(0o600)
        renew, join = self._citadeld
        return (
            *("--identity-dir", str(self.folder / account), "--citadeld", renew, "--citadeld-join", join),
            *("--ca-pin", str(self.root), "--attest-token-file", str(shown)),
        )

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def start_proxy(self, namespace: str, account: str, pod: str) -> None:
        """A proxyd with its Envoy as the sidecar of a pod: it joins by the token that the pod has."""
        shown = self.folder / "pod.token"
        shown.write_text(token(self.kube, namespace, account, pod=pod))
        shown.chmod(0o600)
        settings = {**self.proxy_settings(self.folder, shown), "service_account": account}
        self.proxy = settings["http_proxy_port"]
        config = self.folder / "proxyd.yaml"
        config.write_text(json.dumps(settings))
        command = dying_with_parent(sys.executable, "-m", "proxyd", "run", "--config", str(config))
        with (self.folder / "proxyd.log").open("wb") as log:
            self.sidecar = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def proxy_settings(self, folder: Path, shown: Path) -> dict[str, Any]:
        """Of a proxyd in namespace shop that shows a token."""
        proxy, status, ready, stats, admin = free_ports(5)
        renew, join = self._citadeld
        return {
            "data_dir": str(folder / "proxyd-data"),
            "run_dir": str(folder / "proxyd-run"),
            "citadeld": [renew],
            "citadeld_join": [join],
            "pilotd": [f"127.0.0.1:{self._pilot}"],
            "ca_pin": str(self.root),
            "attest_token_file": str(shown),
            "namespace": "shop",
            "http_proxy_port": proxy,
            "status_port": status,
            "ready_port": ready,
            "stats_port": stats,
            "admin_port": admin,
        }

    def get(self, url: str) -> tuple[int, str]:
        """Status and text that the proxy answers; (0, "") for nothing."""
        through = urllib.request.ProxyHandler({"http": f"http://127.0.0.1:{self.proxy}"})
        try:
            with urllib.request.build_opener(through).open(url, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    @property
    def environ(self) -> dict[str, str]:
        """For meshctl."""
        return {
            "ARTEMON_SERVER": f"https://127.0.0.1:{self.galley_port}",
            "ARTEMON_CA": str(self.root),
            "ARTEMON_TOKEN_FILE": str(self.folder / "galleyd-state" / "admin.token"),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
        }

    def meshctl(self, *arguments: str, stdin: str = "", code: int = 0) -> str:
        command = [sys.executable, "-m", "meshctl", *arguments]
        done = subprocess.run(
            command,
            env={**os.environ, **self.environ},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    def stop(self) -> None:
        if self.sidecar:
            self.sidecar.terminate()
            self.sidecar.wait(30)
        for daemon in self.daemons:
            daemon.kill()

    def condition(self, path: str, kind: str) -> dict[str, Any]:
        """A condition in the status of an object in the cluster, once this generation has one."""

        def found() -> dict[str, Any] | None:
            obj = self.kube.call("GET", path)
            status = obj.get("status") or {}
            if status.get("observedGeneration") != obj["metadata"]["generation"]:
                return None
            return next((one for one in status["conditions"] if one["type"] == kind), None)

        return until(found, f"{kind} of {path}") or {}


@contextmanager
def running(kube: KubeApi, page: Page, folder: Path) -> Iterator[ClusterMesh]:
    """The whole mesh: Service web of namespace shop is `page`, and a proxy of that namespace is there. Route
    `wrong` was written before anybody judged what is written."""
    made = ClusterMesh(folder, kube)
    for name in ("shop", "lent"):
        kube.create("/api/v1/namespaces", {"metadata": {"name": name}})
    read = ("--credentials", "shop", "--credentials", "lent")
    made.install("--injector", "https://127.0.0.1:9", "--secrets", "--gateway-api", *read)
    _shop(kube, page)
    try:
        made.start()
        made.start_proxy("shop", "client", "client-1")
        address = ("--validator", f"https://127.0.0.1:{made.galley_port}", "--validator-ca", str(made.root))
        made.install("--injector", "https://127.0.0.1:9", "--secrets", *address)
        yield made
    finally:
        made.stop()


def _shop(kube: KubeApi, page: Page) -> None:
    account(kube, "shop", "client")
    pod(kube, "shop", "client-1", account="client", node="n1")
    ports = [{"name": "http", "port": 80, "targetPort": page.port}]
    kube.create(f"{NS}/services", {"metadata": {"name": "web"}, "spec": {"ports": ports}})
    meta = {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}}
    listed = {
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": page.port}],
        "endpoints": [{"addresses": [page.address]}],
    }
    kube.create("/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices", {"metadata": meta, **listed})
    until(lambda: kube.found(ROUTES), "the kinds")
    wrong = route("wrong", path="/wrong")
    wrong["spec"]["http"][0]["timeout"] = "0.1ms"
    until(lambda: kube.create(ROUTES, wrong), "the storage of the new kind")
