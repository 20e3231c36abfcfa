"""A whole mesh of real processes, two of each daemon on three members of etcd or Consul, with identities from
citadeld: to be started in any order, and broken."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

from clock_jump import build_clock, clock_environ, set_clock
from consul_servers import Cluster
from live_mesh import Process, Sidecar
from meshlet import ROOT
from servers import EtcdCluster, free_ports

SERVICE = "reviews"
URL = f"http://{SERVICE}.shop.svc.cluster.local:9080/"
CLUSTER = f"outbound|9080||{SERVICE}.shop.svc.cluster.local"
DAEMONS = ("citadeld", "galleyd", "pilotd")


class NoCa:
    """Identities come from citadeld (stands for the one of a mesh whose identities the test makes)."""

    def identity(self, *_: str) -> None:
        """None: it joins by itself."""


class WholeSite:
    """registry: etcd or consul. Nothing runs before `start`. spare: a pilotd that every proxy knows and that
    is not started. cluster, url: a registry of the caller's own, and how daemons are told to reach it. jumps:
    whether the time of day of each daemon can be moved (`jump`)."""

    def __init__(
        self,
        folder: Path,
        *,
        registry: str = "etcd",
        replicas: int = 2,
        cluster: EtcdCluster | Cluster | None = None,
        url: str = "",
        jumps: bool = False,
    ) -> None:
        self.folder, self.ca = folder, NoCa()
        self.cluster = cluster or (
            EtcdCluster(folder / "etcd") if registry == "etcd" else Cluster(folder / "consul")
        )
        self._url, self._shim = url or self.cluster.url, build_clock(folder) if jumps else None
        members = self.cluster.members if isinstance(self.cluster, EtcdCluster) else self.cluster.servers
        self.members: list[Any] = list(members)
        self.daemons: dict[str, list[Process]] = {}
        self._ports = {name: [free_ports(3) for _ in range(replicas)] for name in DAEMONS}
        self._ports["pilotd"].append(free_ports(3))
        for name in DAEMONS:
            make = getattr(self, f"_{name}")
            self.daemons[name] = [self._process(name, n, make(n)) for n in range(replicas)]
        self.spare = self._process("pilotd", replicas, self._pilotd(replicas))
        self.sidecars: list[Sidecar] = []

    @property
    def pilots(self) -> list[Process]:
        """The pilotds."""
        return self.daemons["pilotd"]

    def everything(self) -> list[Process]:
        """All daemons."""
        return [one for many in self.daemons.values() for one in many]

    def start(self, applications: list[int], clients: int = 1) -> None:
        """The first start."""
        self.cluster.start()
        self.start_daemons()
        for number, app in enumerate([*applications, *([0] * clients)]):
            self._sidecar(f"p{number}", app)
        for sidecar in self.sidecars:
            sidecar.wait_ready(180)

    def start_daemons(self) -> None:
        """The first start of the daemons, in an order that can hand out join tokens."""
        first, *others = self.daemons["citadeld"]
        first.start()
        first.wait_ready()
        for one in others:
            data = Path(one.settings["data_dir"])
            data.mkdir(mode=0o700, parents=True)
            for name in ("root-cert.pem", "root-key.pem"):
                shutil.copy(Path(first.settings["data_dir"]) / name, data / name)
            one.start()
        for one in (*self.daemons["galleyd"], *self.pilots):
            self.join(one)
        for one in self.everything():
            one.wait_ready()

    def join(self, one: Process) -> None:
        """Start a daemon for the first time."""
        self._token(one.settings["join_token_file"], "artemon-system", one.module)
        one.start()

    def mixerd(self) -> Process:
        """One that is not started, with rules from the registry."""
        self._ports["mixerd"], folder = [free_ports(3)], self.folder / "mixerd-0"
        own = {"data_dir": str(folder / "data"), "identity_dir": str(folder / "identity")}
        return self._process("mixerd", 0, {**own, **self._joining("mixerd-0")})

    def servers(self) -> list[Sidecar]:
        """The sidecars that serve."""
        return [one for one in self.sidecars if one.agent.settings["service"]]

    def clients(self) -> list[Sidecar]:
        """Those that ask."""
        return [one for one in self.sidecars if not one.agent.settings["service"]]

    def stop_all(self) -> None:
        """As when the power goes: everything dies at once."""
        for sidecar in self.sidecars:
            sidecar.agent.clean()
        for one in (*self.everything(), self.spare):
            one.kill()
        for member in self.members:
            member.kill()

    def green(self) -> bool:
        """Every daemon is ready, every server is known to every client, and requests go through."""
        said = [one.ready() for one in self.everything()]
        ready = all(one.get("ready") and not one["degraded"] for one in said)
        return ready and self.converged() and all(one.get(URL)[0] == 200 for one in self.clients())

    def converged(self) -> bool:
        """Everyone is served by a pilotd, and every server is known to everyone who asks."""
        try:
            pilots = [pilot for pilot in self.pilots if pilot.ready().get("ready")]
            names = {node for pilot in pilots for node in pilot.served()}
            known = {len(one.endpoints(CLUSTER)) for one in self.clients()}
        except (OSError, ValueError, subprocess.CalledProcessError):
            return False
        everyone = len(names) == len(self.sidecars)
        return len(pilots) == len(self.pilots) and everyone and known == {len(self.servers())}

    def dumps(self, pilots: list[Process]) -> dict[str, dict[str, Any]]:
        """What every proxy of these pilotds should have, by node."""
        return {node: pilot.dump(node) for pilot in pilots for node in pilot.served()}

    def jump(self, one: Process, seconds: float) -> None:
        """Move a daemon's time of day, now and until the next call."""
        set_clock(one.folder, seconds)

    def apply(self, number: int, name: str, path: str) -> int:
        """Write a VirtualService through one galleyd; the status."""
        galleyd = self.daemons["galleyd"][number]
        spec = {
            "hosts": [name],
            "http": [{"match": [{"uri": {"prefix": path}}], "route": [{"destination": {"host": SERVICE}}]}],
        }
        body = {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": name.replace(".", "-")},
            "spec": spec,
        }
        url = "/apis/networking.istio.io/v1/namespaces/shop/virtualservices"
        return self.https(galleyd, "POST", url, body)

    def https(self, galleyd: Process, method: str, path: str, body: Any) -> int:
        """Ask a galleyd as its administrator; the status."""
        context = ssl.create_default_context(cafile=str(self._root))
        context.check_hostname = False
        host, port = galleyd.settings["listen"].rsplit(":", 1)
        token = Path(galleyd.settings["admin_token_file"]).read_text().strip()
        connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=30)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    @property
    def _root(self) -> Path:
        return self.folder / "citadeld-0" / "data" / "root-cert.pem"

    def _process(self, module: str, number: int, settings: dict[str, Any]) -> Process:
        name = f"{module}-{number}"
        listen, _, health = self._ports[module][number]
        common = {
            "node": name,
            "http": f"127.0.0.1:{health}",
            "listen": f"127.0.0.1:{listen}",
            "registry": self._url,
        }
        made = Process(self.folder / name, module, {**common, **settings})
        if self._shim is not None:
            made.environ |= clock_environ(self._shim, self.folder / name)
        return made

    def _citadeld(self, number: int) -> dict[str, Any]:
        folder = self.folder / f"citadeld-{number}"
        return {
            "data_dir": str(folder / "data"),
            "join_listen": f"127.0.0.1:{self._ports['citadeld'][number][1]}",
            "socket": str(folder / "c.sock"),
            "names": ["localhost", "127.0.0.1"],
        }

    def _joining(self, name: str) -> dict[str, Any]:
        return {
            "citadeld": [f"127.0.0.1:{ports[0]}" for ports in self._ports["citadeld"]],
            "citadeld_join": [f"127.0.0.1:{ports[1]}" for ports in self._ports["citadeld"]],
            "join_token_file": str(self.folder / f"{name}.token"),
            "ca_pin": str(self._root),
        }

    def _galleyd(self, number: int) -> dict[str, Any]:
        folder = self.folder / f"galleyd-{number}"
        return {
            "state_dir": str(folder / "data"),
            "identity_dir": str(folder / "identity"),
            "admin_token_file": str(folder / "admin.token"),
            "pilotd": [f"127.0.0.1:{ports[0]}" for ports in self._ports["pilotd"]],
            **self._joining(f"galleyd-{number}"),
        }

    def _pilotd(self, number: int) -> dict[str, Any]:
        folder = self.folder / f"pilotd-{number}"
        return {
            "data_dir": str(folder / "data"),
            "identity_dir": str(folder / "identity"),
            "socket": str(folder / "p.sock"),
            **self._joining(f"pilotd-{number}"),
        }

    def _sidecar(self, name: str, app: int) -> None:
        service = SERVICE if app else ""
        self._token(str(self.folder / f"{name}.token"), "shop", service or name)
        (self.folder / name).mkdir()
        pilots = [f"127.0.0.1:{ports[0]}" for ports in self._ports["pilotd"]]
        joining = {**self._joining(name), "pilotd": pilots, "drain_seconds": 3}
        made = Sidecar(self, name, service=service, app=app, **joining)  # type: ignore[arg-type]
        self.sidecars.append(made)
        made.agent.start()

    def _token(self, file: str, namespace: str, account: str) -> None:
        socket = self.daemons["citadeld"][0].settings["socket"]
        command = (*("-m", "citadeld", "token", "create", "--namespace", namespace), "--service-account")
        done = subprocess.run(
            [sys.executable, *command, account, "--socket", socket],
            capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        Path(file).write_text(done.stdout.strip())
        Path(file).chmod(0o600)
