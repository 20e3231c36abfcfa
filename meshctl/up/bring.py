"""Bringing a mesh up and down: small steps, each of which is harmless when it was done before."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import yaml
from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

from artemon.daemon.secrets_key import make_key_file
from artemon.errors import ArtemonError, Problem, Refused, Unavailable
from artemon.tls import client_context
from meshctl.up import checks, joining, members, plan, preflight, telemetry
from meshctl.up.layout import CONTROL_PLANE, GATEWAY, HEALTH_PORTS, INSTANCES, PROXY_PORT, Layout
from meshctl.up.processes import Process, Program, load_processes, save, start_time
from meshctl.up.supervisor import PLAN, STATE

PATIENCE = 90.0
"""Seconds for everything together to become right."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Mesh:
    """A mesh on this machine, running or not."""

    layout: Layout
    demo: bool
    registry: str

    @classmethod
    def known(cls, folder: Path) -> Mesh | None:
        """The mesh that was brought up in `folder`; None when there was none."""
        asked = plan.recall(folder)
        if asked is None:
            return None
        layout = Layout(folder=folder, network=IPv4Network(asked["network"]))
        return cls(layout=layout, demo=asked["demo"], registry=asked["registry"])

    @property
    def running(self) -> dict[str, Process]:
        """What the supervisor started and still runs, with the Envoys."""
        rows = [process for process in load_processes(self.layout.folder / STATE) if process.alive]
        return {process.name: process for process in [*rows, *self._envoys()]}

    @property
    def programs(self) -> list[Program]:
        """What the supervisor runs."""
        return plan.programs(self.layout, registry=self.registry, demo=self.demo)

    @property
    def wanted(self) -> dict[str, Process | None]:
        """Everything that should run, by name."""
        running = self.running
        names = ["supervisor", *(program.name for program in self.programs)]
        if self.demo:
            names += [f"envoy {instance.name}" for instance in (GATEWAY, *INSTANCES)]
        return {name: running.get(name) for name in names}

    def _envoys(self) -> list[Process]:
        """Envoys are known by the directory they run in, their proxy's own."""
        homes = {str(self.layout.run(instance.name)): instance.name for instance in (GATEWAY, *INSTANCES)}
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                home, program = os.readlink(entry / "cwd"), os.readlink(entry / "exe")
            except OSError:
                continue
            if home in homes and Path(program).name.startswith("envoy"):
                pid = int(entry.name)
                found.append(Process(f"envoy {homes[home]}", "envoy", pid, start_time(pid)))
        return found


async def up(mesh: Mesh, say: Say) -> list[checks.Check]:
    """Bring the mesh up and check it. Raises ArtemonError; then what this call started is stopped again."""
    fresh = not mesh.running
    if fresh:
        _preflight(mesh)
        _forget_other_addresses(mesh)
    _claim(mesh)
    try:
        await _start(mesh, say)
        say("waiting until everything works")
        found = await _settle(mesh)
    except BaseException:
        if fresh:
            say("stopping what was started")
            await down(mesh)
        raise
    return found


def _forget_other_addresses(mesh: Mesh) -> None:
    """Daemons whose certificates name the addresses of another network join anew."""
    before = Mesh.known(mesh.layout.folder)
    if before is not None and before.layout.network != mesh.layout.network:
        for name in CONTROL_PLANE:
            shutil.rmtree(mesh.layout.data(name) / "identity", ignore_errors=True)


def _claim(mesh: Mesh) -> None:
    """Make the mesh's folder and note what runs from it. Raises ArtemonError."""
    folder = mesh.layout.folder
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        plan.remember(mesh.layout, demo=mesh.demo, registry=mesh.registry)
    except OSError as error:
        raise ArtemonError(f"{folder}: {error.strerror}; choose another folder with --dir") from error


def _preflight(mesh: Mesh) -> None:
    wanted = plan.addresses(mesh.layout, registry=mesh.registry, demo=mesh.demo)
    preflight.check(envoy=mesh.demo, addresses=wanted)


async def _start(mesh: Mesh, say: Say) -> None:
    layout = mesh.layout
    make_key_file(layout.secrets_key)
    plan.write_settings(layout, registry=mesh.registry, demo=mesh.demo)
    programs = mesh.programs
    servers = {program.name for program in members.programs(layout, mesh.registry)}
    if servers and not servers <= mesh.running.keys():
        say(f"starting three members of {mesh.registry}")
        save(layout.folder / PLAN, [program for program in programs if program.name in servers])
        _supervise(mesh)
        await members.ready(layout, mesh.registry, PATIENCE)
    say("starting citadeld")
    if servers or not layout.roots.exists():
        first = {*servers, "citadeld"}
        known = layout.roots.exists()
        save(layout.folder / PLAN, [program for program in programs if known or program.name in first])
    _supervise(mesh)
    await _ready(mesh, "citadeld")
    layout.roots.write_bytes((layout.data("citadeld") / "root-cert.pem").read_bytes())
    say("handing out join tokens")
    await joining.hand_out(layout, demo=mesh.demo)
    say(f"starting {len(programs) - 1} processes")
    save(layout.folder / PLAN, programs)
    _supervise(mesh)
    for name in CONTROL_PLANE:
        await _ready(mesh, name)
    if mesh.demo:
        say("applying the sample's configuration")
        await _configure(mesh)


def _supervise(mesh: Mesh) -> None:
    """Start the supervisor, or tell the one that runs to read its plan again."""
    supervisor = mesh.running.get("supervisor")
    if supervisor is not None:
        supervisor.signal(signal.SIGHUP)
        return
    log = mesh.layout.log("supervisor")
    with log.open("ab") as output:
        subprocess.Popen(
            [sys.executable, "-P", "-m", "meshctl.up.supervisor", str(mesh.layout.folder)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=mesh.layout.folder,
            start_new_session=True,
        )


async def _ready(mesh: Mesh, name: str) -> None:
    """Wait for a daemon to say that it is ready."""
    url = f"http://{mesh.layout.control}:{HEALTH_PORTS[name]}/readyz"
    waiting = "it does not answer"
    try:
        async with asyncio.timeout(PATIENCE), ClientSession(timeout=ClientTimeout(total=5)) as session:
            while True:
                try:
                    async with session.get(url) as response:
                        waiting = "; ".join((await response.json())["waiting"].values())
                        if response.status == 200:
                            return
                except (ClientError, ValueError) as error:
                    waiting = checks.reason(error)
                await asyncio.sleep(0.1)
    except TimeoutError as error:
        last = _last_line(mesh.layout.log(name))
        raise Unavailable(
            f"{name} is not ready after {PATIENCE:.0f} s: {waiting}; its log ends: {last}"
        ) from error


def _last_line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1]
    except (OSError, IndexError):
        return f"(nothing in {path})"


async def _configure(mesh: Mesh) -> None:
    """The sample's objects, where they are absent: what a user changed since stays."""
    token = mesh.layout.admin_token.read_text(encoding="utf-8").strip()
    connector = TCPConnector(ssl=client_context(mesh.layout.roots.read_text(encoding="utf-8")))
    async with ClientSession(
        mesh.layout.server, connector=connector, headers={"Authorization": f"Bearer {token}"}
    ) as session:
        settings = await _call(session, "GET", "/artemon/v1/mesh")
        wanted = {**settings, "proxyHttpPort": settings.get("proxyHttpPort") or PROXY_PORT}
        wanted["extensionProviders"] = telemetry.with_providers(settings.get("extensionProviders") or ())
        if wanted != settings:
            await _call(session, "PUT", "/artemon/v1/mesh", wanted)
        text = files("meshctl.bookinfo").joinpath("mesh.yaml").read_text(encoding="utf-8")
        objects = [*yaml.safe_load_all(text), telemetry.service(mesh.layout.control)]
        absent = [item for item in objects if not await _exists(session, item)]
        if absent:
            await _call(session, "POST", "/artemon/v1/transactions", {"objects": absent})


PLURALS = {
    "PeerAuthentication": "peerauthentications",
    "Gateway": "gateways",
    "VirtualService": "virtualservices",
    "DestinationRule": "destinationrules",
    "ServiceEntry": "serviceentries",
    "Telemetry": "telemetries",
}


async def _exists(session: ClientSession, item: Mapping[str, Any]) -> bool:
    meta = item["metadata"]
    path = f"/apis/{item['apiVersion']}/namespaces/{meta['namespace']}/{PLURALS[item['kind']]}/{meta['name']}"
    async with session.get(path) as response:
        return response.status == 200


async def _call(session: ClientSession, verb: str, path: str, body: object = None) -> dict[str, Any]:
    try:
        async with session.request(verb, path, json=body) as response:
            answer: dict[str, Any] = await response.json()
    except (ClientError, TimeoutError, ValueError) as error:
        raise Unavailable(f"galleyd: {verb} {path}: {checks.reason(error)}") from error
    if response.status >= 400:
        raise Refused([Problem("", str(answer.get("message", answer)))], subject=f"{verb} {path}")
    return answer


async def _settle(mesh: Mesh) -> list[checks.Check]:
    """Run the checks until all hold, or PATIENCE runs out; the last outcome."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE
    while True:
        found = await examine(mesh)
        if all(check.ok for check in found) or loop.time() > deadline:
            return found
        await asyncio.sleep(0.5)


async def examine(mesh: Mesh) -> list[checks.Check]:
    """Every check once."""
    async with checks.subject(mesh.layout, mesh.wanted, demo=mesh.demo) as about:
        return [check async for check in checks.run(about)]


async def down(mesh: Mesh) -> list[str]:
    """Stop what runs; the names of what was stopped. Raises ArtemonError naming what would not end."""
    running = mesh.running
    supervisor = running.pop("supervisor", None)
    if supervisor is not None:
        supervisor.signal(signal.SIGTERM)
        await supervisor.ended(60)
    left = [process for process in running.values() if process.alive]
    for process in left:
        process.signal(signal.SIGTERM)
    await asyncio.gather(*(_end(process) for process in left))
    stuck = [process.name for process in running.values() if process.alive]
    if stuck:
        raise ArtemonError(f"still running: {', '.join(stuck)}")
    (mesh.layout.folder / STATE).unlink(missing_ok=True)
    return [*running, *(["supervisor"] if supervisor else [])]


async def _end(process: Process) -> None:
    if not await process.ended(15):
        process.signal(signal.SIGKILL)
        await process.ended(2)
