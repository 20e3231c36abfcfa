"""Real pilotds, real proxyds with their Envoys, and requests through them; the test makes identities."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from meshlet import ROOT, Agent, Ca
from servers import free_ports

from artemon.daemon.identity_files import save_identity
from artemon.daemon.identity_tls import server_name

NAMESPACE = "shop"


def wait(holds: Callable[[], Any], what: str, seconds: float = 45.0) -> float:
    """Seconds until it holds."""
    started = time.monotonic()
    while not holds():
        if time.monotonic() - started > seconds:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)
    return time.monotonic() - started


class Process:
    """One process of a daemon. module: which. settings: as in its file, with `http`."""

    def __init__(self, folder: Path, module: str, settings: dict[str, Any]) -> None:
        self.folder, self.module, self.settings = folder, module, settings
        self.name, self.log = str(settings["node"]), folder / f"{module}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.environ: dict[str, str] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        config = self.folder / f"{self.module}.yaml"
        config.write_text(yaml.safe_dump(self.settings))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module, "--config", str(config)],
                stderr=log,
                stdout=log,
                env={**os.environ, "PYTHONPATH": str(ROOT), **self.environ},
            )

    def ready(self) -> dict[str, Any]:
        """What /readyz says; {} while nobody answers."""
        try:
            with urllib.request.urlopen(f"http://{self.settings['http']}/readyz", timeout=2) as answer:
                return dict(json.loads(answer.read()))
        except urllib.error.HTTPError as error:
            return dict(json.loads(error.read()))
        except OSError:
            return {}

    def wait_ready(self) -> None:
        started = time.monotonic()
        while not self.ready().get("ready"):
            assert time.monotonic() - started < 120, (self.name, self.ready(), self.log.read_text()[-2000:])
            time.sleep(0.05)

    def page(self, path: str) -> Any:
        """A debug page."""
        done = subprocess.run(
            ["curl", "-s", "--unix-socket", self.settings["socket"], f"http://pilotd{path}"],
            capture_output=True,
            check=True,
        )
        return json.loads(done.stdout)

    def served(self) -> set[str]:
        """The nodes that a pilotd serves."""
        return {one["node"] for one in self.page("/debug/syncz")}

    def dump(self, node: str) -> dict[str, Any]:
        """What a pilotd says to a proxy, without the revision of the registry."""
        dump = self.page(f"/debug/config_dump?proxyID={node}")
        return {key: value for key, value in dump.items() if key != "revision"}

    def metric(self, name: str) -> float:
        with urllib.request.urlopen(f"http://{self.settings['http']}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        if self.process and self.alive:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """As systemd does."""
        assert self.process
        self.process.terminate()
        self.process.wait(30)


class Pilotd(Process):
    """One pilotd whose identity the test made."""

    def __init__(self, folder: Path, ca: Ca, name: str, *, registry: str, **more: Any) -> None:
        port, http = free_ports(2)
        settings: dict[str, Any] = {
            "node": name,
            "http": f"127.0.0.1:{http}",
            "listen": f"127.0.0.1:{port}",
            "registry": registry,
            "data_dir": str(folder / "data"),
            "identity_dir": str(folder / "identity"),
            "socket": str(folder / "p.sock"),
            **more,
        }
        super().__init__(folder, "pilotd", settings)
        save_identity(folder / "identity", ca.identity("artemon-system", "pilotd", server_name("pilotd")))

    @property
    def address(self) -> str:
        return str(self.settings["listen"])


class LiveMesh:
    """Some pilotds on one registry, and the sidecars that joined them."""

    def __init__(self, folder: Path, registry: str, *, pilots: int = 1, **more: Any) -> None:
        self.folder, self.ca = folder, Ca()
        self.pilots = [
            Pilotd(folder / f"pilot-{n}", self.ca, f"pilot-{n}", registry=registry, **more)
            for n in range(pilots)
        ]
        self.sidecars: list[Sidecar] = []

    def start(self) -> LiveMesh:
        for pilot in self.pilots:
            pilot.start()
        for pilot in self.pilots:
            pilot.wait_ready()
        return self

    def sidecar(self, name: str, *, service: str = "", app: int = 0, **more: Any) -> Sidecar:
        """A sidecar of an application that listens on 127.0.0.1:`app`; started."""
        made = Sidecar(self, name, service=service, app=app, **more)
        self.sidecars.append(made)
        made.agent.start()
        return made

    def clean(self) -> None:
        for one in self.sidecars:
            one.agent.clean()
        for pilot in self.pilots:
            pilot.kill()


class Sidecar:
    """A proxyd with its Envoy, and requests through it."""

    def __init__(self, mesh: LiveMesh, name: str, *, service: str, app: int, **more: Any) -> None:
        self.proxy_port = free_ports(1)[0]
        port = {"name": "http", "number": 9080, "protocol": "HTTP", "app_port": app}
        self.agent = Agent(
            mesh.folder / name,
            mesh.ca.identity(NAMESPACE, service or name),
            more.pop("pilotd", None) or [pilot.address for pilot in mesh.pilots],
            node=name,
            namespace=NAMESPACE,
            service_account=service or name,
            service=service,
            ports=[port] if service else [],
            http_proxy_port=self.proxy_port,
            **more,
        )

    def wait_ready(self, seconds: float = 90.0) -> None:
        def ready() -> bool:
            assert self.agent.process
            assert self.agent.process.poll() is None, "proxyd has ended"
            return _status(f"{self.agent.status}/healthz/ready") == 200

        try:
            wait(ready, "the sidecar is ready", seconds)
        except AssertionError as late:
            late.add_note(self._log())
            raise

    def get(self, url: str, *, seconds: float = 5.0) -> tuple[int, str]:
        """Status and body of a request through the sidecar; (0, reason) when the proxy does not answer."""
        door = urllib.request.ProxyHandler({"http": f"http://{self.agent.ip}:{self.proxy_port}"})
        try:
            with urllib.request.build_opener(door).open(url, timeout=seconds) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def endpoints(self, cluster: str) -> dict[str, str]:
        """Address -> health flags, as this Envoy has them."""
        url = f"http://{self.agent.ip}:15000/clusters?format=json"
        with urllib.request.urlopen(url, timeout=5) as answer:
            found = json.loads(answer.read())["cluster_statuses"]
        hosts = next((one.get("host_statuses", []) for one in found if one["name"] == cluster), [])
        shown = {}
        for host in hosts:
            place = host["address"]["socket_address"]
            state = host["health_status"].get("eds_health_status", "")
            shown[f"{place['address']}:{place['port_value']}"] = state
        return shown

    def _log(self) -> str:
        return self.agent.log.read_text()[-3000:] if self.agent.log.exists() else ""


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
