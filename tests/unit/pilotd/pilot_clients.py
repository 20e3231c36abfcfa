"""A whole discovery over a registry in memory, and xDS clients that talk to it without a network."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from envoy.service.discovery.v3 import discovery_pb2
from prometheus_client import CollectorRegistry

from artemon.daemon.health import Health
from artemon.daemon.signers import Signers
from artemon.log import Log
from artemon.pki.spiffe import SpiffeId
from artemon.store.api import Store
from artemon.store.open import open_store
from artemon.xds.types import CLUSTER
from pilotd.connection import serve
from pilotd.discovery import Discovery, Options
from pilotd.stream import Ended

PATIENCE = 30.0
PORTS = [{"name": "http", "number": 9080, "protocol": "HTTP", "listenPort": 9080, "appPort": 8080}]


def identity(namespace: str = "books", account: str = "reviews") -> SpiffeId:
    return SpiffeId("cluster.local", namespace, account)


def node(
    name: str = "reviews-1", ip: str = "127.0.1.1", **metadata: object
) -> discovery_pb2.DeltaDiscoveryRequest:
    request = discovery_pb2.DeltaDiscoveryRequest(type_url=CLUSTER)
    request.node.id = f"sidecar~{ip}~{name}.books~books.svc.cluster.local"
    request.node.metadata.update(
        {
            "NAMESPACE": "books",
            "SERVICE_ACCOUNT": "reviews",
            "ARTEMON_SERVICE": "reviews",
            "INTERCEPTION_MODE": "NONE",
            "ARTEMON_PORTS": json.dumps(PORTS),
            **metadata,
        }
    )
    return request


class Pipe:
    """Both ends of a stream: what pilotd reads and writes (implements Stream)."""

    def __init__(self, peer: SpiffeId | None) -> None:
        self.peer = peer
        self.serial: int | None = None
        self.requests: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.responses: asyncio.Queue[bytes] = asyncio.Queue()
        self.stuck = False

    async def read(self) -> bytes | None:
        return await self.requests.get()

    async def write(self, data: bytes) -> None:
        while self.stuck:
            await asyncio.sleep(0.01)
        self.responses.put_nowait(data)


class Client:
    """A delta client that takes everything, unless `refuse` names a resource."""

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe
        self.held: dict[str, dict[str, bytes]] = {}
        self.refuse: str | None = None
        self.taken: list[discovery_pb2.DeltaDiscoveryResponse] = []

    def ask(self, type_url: str, *names: str) -> None:
        self.send(discovery_pb2.DeltaDiscoveryRequest(type_url=type_url, resource_names_subscribe=names))

    def send(self, request: discovery_pb2.DeltaDiscoveryRequest) -> None:
        self.pipe.requests.put_nowait(request.SerializeToString())

    async def run(self) -> None:
        """Take and answer responses until cancelled."""
        while True:
            self.take(discovery_pb2.DeltaDiscoveryResponse.FromString(await self.pipe.responses.get()))

    def take(self, response: discovery_pb2.DeltaDiscoveryResponse) -> None:
        self.taken.append(response)
        answer = discovery_pb2.DeltaDiscoveryRequest(
            type_url=response.type_url, response_nonce=response.nonce
        )
        if any(one.name == self.refuse for one in response.resources):
            answer.error_detail.message = f"cannot use {self.refuse}"
        else:
            held = self.held.setdefault(response.type_url, {})
            held.update({one.name: one.resource.value for one in response.resources})
            for name in response.removed_resources:
                held.pop(name, None)
        self.send(answer)

    async def until(self, type_url: str, name: str, containing: bytes = b"") -> None:
        """Return when the resource is held, with these bytes in it."""
        await until(lambda: name in (held := self.held.get(type_url, {})) and containing in held[name])


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.005)


class Mesh:
    """A running discovery; `streams` end with it."""

    def __init__(self, discovery: Discovery, store: Store, tasks: asyncio.TaskGroup, health: Health) -> None:
        self.discovery, self.store, self.health = discovery, store, health
        self._tasks = tasks
        self.registry = CollectorRegistry()
        self.streams: list[asyncio.Task[None]] = []
        self.ended: list[Ended] = []

    def connect(self, first: discovery_pb2.DeltaDiscoveryRequest, *, peer: SpiffeId | None = None) -> Client:
        pipe = Pipe(peer or identity())
        client = Client(pipe)
        client.send(first)
        self.streams += [self._tasks.create_task(self._serve(pipe)), self._tasks.create_task(client.run())]
        return client

    async def _serve(self, pipe: Pipe) -> None:
        try:
            await serve(pipe, self.discovery.serving, delta=True)
        except Ended as ended:
            self.ended.append(ended)

    async def value(self, key: str) -> dict | None:
        entry = await self.store.get(f"artemon/default/{key}")
        return json.loads(entry.value) if entry else None

    async def eventually(self, key: str, wanted) -> dict | None:
        """The value of a key, as soon as `wanted(value)`."""
        async with asyncio.timeout(PATIENCE):
            while not wanted(found := await self.value(key)):
                await asyncio.sleep(0.02)
        return found

    async def write(self, key: str, value: dict | bytes) -> int:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        return (await self.store.put(f"artemon/default/{key}", data)).position.revision


@asynccontextmanager
async def mesh(
    store: Store | None = None,
    *,
    options: Options | None = None,
    wait: bool = True,
    signers: Signers | None = None,
    trust: Signers | None = None,
) -> AsyncIterator[Mesh]:
    """A discovery that runs while the block does, over `store` or an empty registry."""
    own = store is None
    store = store or await open_store("memory://")
    registry = CollectorRegistry()
    discovery = Discovery(
        store,
        options or Options(pilot="pilot-a"),
        log=Log("pilotd"),
        registry=registry,
        signers=signers,
        trust=trust,
    )
    health = Health()
    try:
        async with asyncio.TaskGroup() as tasks:
            work = tasks.create_task(discovery.run(health))
            running = Mesh(discovery, store, tasks, health)
            running.registry = registry
            async with asyncio.timeout(PATIENCE):
                while wait and not discovery.fleet.ready:
                    await asyncio.sleep(0.005)
            try:
                yield running
            finally:
                discovery.records.close()
                for task in (work, *running.streams):
                    task.cancel()
    finally:
        if own:
            await store.close()


def service_entry(name: str, host: str, **spec: object) -> dict:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": name, "namespace": "books"},
        "spec": {
            "hosts": [host],
            "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
            "location": "MESH_INTERNAL",
            "resolution": "STATIC",
            "endpoints": [{"address": "10.0.0.1"}],
            **spec,
        },
    }
