"""A mesh in small for one proxyd: a root, identities on disk, and a control plane of the test."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import yaml
from meshlet_net import eventually, fetch, loopback

from artemon.api.v1.start_pb2 import ProxyStart, StartSettings
from artemon.daemon.identity_files import Identity, make_identity, save_identity
from artemon.daemon.identity_tls import grpc_server_credentials, server_name
from artemon.pki.certificate import (
    Authority,
    Leaf,
    chain_pem,
    make_intermediate,
    make_leaf,
    make_root,
    serial_number,
)
from artemon.pki.keys import generate_key, private_pem
from artemon.pki.spiffe import SpiffeId
from artemon.translate.start import SETTINGS
from artemon.xds.request import Node, parse_delta
from artemon.xds.resource import NO_RESOURCES, Resource, Resources
from artemon.xds.session import Event, Session
from artemon.xds.types import CLUSTER, ENDPOINTS, LISTENER, NAMES, ROUTES, START
from artemon.xds.wire import Bodies
from pilotd.server import OPTIONS

ROOT = Path(__file__).parents[3]
TRUST = "cluster.local"
ADS = "envoy.service.discovery.v3.AggregatedDiscoveryService"


def serial() -> int:
    return serial_number(secrets.token_bytes(20))


class Ca:
    """A root and an intermediate that sign whatever they are asked to."""

    def __init__(self) -> None:
        now, life = datetime.now(UTC), timedelta(days=1)
        key = generate_key()
        root = make_root(key, TRUST, serial=serial(), now=now, lifetime=life)
        own = generate_key()
        certificate = make_intermediate(
            own.public_key(), Authority(root, key), TRUST, serial=serial(), now=now, lifetime=life
        )
        self.authority = Authority(certificate, own, (root,))

    def identity(self, namespace: str, account: str, *names: str) -> Identity:
        now, key = datetime.now(UTC), generate_key()
        who = SpiffeId(TRUST, namespace, account)
        leaf = Leaf(who, key.public_key(), timedelta(hours=1), names)
        certificate = make_leaf(leaf, self.authority, serial=serial(), now=now)
        return make_identity(
            who,
            chain_pem=chain_pem([certificate, self.authority.certificate]),
            key_pem=private_pem(key),
            roots_pem=chain_pem([self.authority.root]),
            now=now,
        )


class Pilot:
    """A pilotd in small: whatever `publish` is given goes to every client that asks."""

    def __init__(self, ca: Ca, *, daemon: str = "pilotd") -> None:
        self._identity = ca.identity("artemon-system", daemon, server_name(daemon))
        self._streams: set[asyncio.Event] = set()
        self._desired: Resources = NO_RESOURCES
        self.publish()
        self._server: grpc.aio.Server | None = None
        self.port = 0
        self.events: list[Event] = []
        self.nodes: list[Node] = []
        self.sent: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def publish(self, *messages: tuple[str, str, Any]) -> None:
        items: dict[str, dict[str, Resource]] = {
            CLUSTER: {},
            ENDPOINTS: {},
            LISTENER: {},
            ROUTES: {},
            NAMES: {},
            START: {},
        }
        items[START][SETTINGS] = Resource.of(SETTINGS, START, ProxyStart(settings=StartSettings()))
        for url, name, message in messages:
            items[url][name] = Resource.of(name, url, message)
        self._desired = Resources.of(items, previous=self._desired)
        for wake in self._streams:
            wake.set()

    def items(self) -> dict[str, dict[str, Resource]]:
        return {url: dict(state.items) for url, state in self._desired.items()}

    async def start(self) -> None:
        self._server = grpc.aio.server(options=OPTIONS)
        handler: Any = grpc.stream_stream_rpc_method_handler(self._delta)
        handlers = grpc.method_handlers_generic_handler(ADS, {"DeltaAggregatedResources": handler})
        self._server.add_generic_rpc_handlers((handlers,))
        credentials = grpc_server_credentials(lambda: self._identity)
        self.port = self._server.add_secure_port(f"127.0.0.1:{self.port}", credentials)
        await self._server.start()

    async def stop(self) -> None:
        if self._server:
            await self._server.stop(0)
            self._server = None

    async def _delta(self, requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> None:
        session, wake, bodies = Session(delta=True), asyncio.Event(), Bodies()
        self._streams.add(wake)
        writer = asyncio.ensure_future(self._write(session, context, wake, bodies))
        try:
            async for data in requests:
                request, node = parse_delta(data)
                if node:
                    self.nodes.append(node)
                self.events += session.receive(request)
                wake.set()
        finally:
            writer.cancel()
            self._streams.discard(wake)

    async def _write(self, session: Session, context: Any, wake: asyncio.Event, bodies: Bodies) -> None:
        while True:
            wake.clear()
            for response in session.owed(self._desired):
                self.sent.append(
                    (response.type_url, tuple(item.name for item in response.resources), response.removed)
                )
                await context.write(bodies.encode(response, response.nonce, delta=True))
            await wake.wait()

    async def until(self, kind: type, *, type_url: str, count: int = 1) -> list[Any]:
        """Wait for so many events of a kind."""
        return await eventually(
            lambda: (
                found
                if len(found := [e for e in self.events if isinstance(e, kind) and e.type_url == type_url])
                >= count
                else None
            ),
            f"{kind.__name__} of {type_url}; heard {self.events}",
            seconds=60,
        )


class Agent:
    """A proxyd process with its directories and settings."""

    def __init__(self, directory: Path, identity: Identity | None, pilots: list[str], **more: Any) -> None:
        self.directory = directory
        self.ip = loopback()
        self.data, self.run = directory / "data", directory / "run"
        if identity is not None:
            save_identity(self.data, identity)
        self.settings: dict[str, Any] = {
            "node": "reviews-1",
            "namespace": "bookinfo",
            "service_account": "bookinfo-reviews",
            "data_dir": str(self.data),
            "run_dir": str(self.run),
            "pilotd": pilots,
            "ip_address": self.ip,
            "drain_seconds": 0,
            **more,
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.log = directory / "proxyd.log"

    @property
    def status(self) -> str:
        return f"http://{self.ip}:15020"

    def start(self) -> None:
        config = self.directory / "proxyd.yaml"
        config.write_text(yaml.safe_dump(self.settings))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "proxyd", "--config", str(config)],
                stderr=log,
                stdout=log,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )

    def command(self, name: str, *more: str) -> tuple[int, str]:
        """Exit status and output of a subcommand with the agent's settings."""
        config = ("--config", str(self.directory / "proxyd.yaml"))
        arguments = [sys.executable, "-m", "proxyd", name, *more, *config]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    def kill(self) -> None:
        """As the machine does when it has no memory left."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        assert self.process
        self.process.terminate()
        return self.process.wait(15)

    def envoys(self) -> list[int]:
        """The Envoys that run in the run directory."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and os.readlink(entry / "cwd") == str(self.run):
                    found.append(int(entry.name))
        return found

    def said(self, text: str) -> int:
        return self.log.read_text().count(text)

    async def ready(self) -> None:
        await eventually(self._is_ready, lambda: f"ready; log:\n{self.log.read_text()}")

    async def _is_ready(self) -> bool:
        return (await fetch(f"{self.status}/healthz/ready"))[0] == 200

    def clean(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid in self.envoys():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
