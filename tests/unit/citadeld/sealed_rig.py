"""Replicas of citadeld as far as they sign and read the registry: no doors, no network."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from servers import free_ports

from artemon.daemon.health import Health
from artemon.daemon.run import Context
from artemon.log import Log
from artemon.pki.revocation import Ban
from artemon.pki.signing import SigningKey, sign, split
from artemon.pki.spiffe import SpiffeId
from artemon.store.api import Store
from citadeld.app import key_room, utc_now
from citadeld.metrics import Metrics
from citadeld.publish import publish
from citadeld.registry import Registry, sealed_registry
from citadeld.revoker import Revoker, ban_key
from citadeld.rooms import Rooms
from citadeld.settings import CitadelSettings

ROOT = "artemon/default/"
CART = SpiffeId("cluster.local", "shop", "cart")
BAN = ROOT + ban_key(CART)
BUNDLE = ROOT + "trust/bundle"


@dataclass
class Replica:
    """One citadeld's registry, with its keys."""

    registry: Registry
    metrics: CollectorRegistry
    health: Health

    @property
    def store(self) -> Any:
        return self.registry.store

    @property
    def revoker(self) -> Revoker:
        return Revoker(self.store, ROOT, self.registry.rooms.authorities, utc_now)

    async def start(self) -> Replica:
        await self.registry.first_bundle()
        return await self.upkeep()

    async def upkeep(self) -> Replica:
        rooms = self.registry.rooms
        authority = rooms.first.load()
        last = self.store.last_good
        await publish(self.store, ROOT, authority, trust_domain="cluster.local", now=utc_now, last=last)
        await self.registry.upkeep()
        return self

    def forged(self, reason: str) -> float:
        name = "citadel_server_registry_forged_total"
        return self.metrics.get_sample_value(name, {"reason": reason}) or 0


def replica(store: Store, folder: Path, *, root_of: Path | None = None, make: bool = True) -> Replica:
    """root_of: the data directory of another whose root is shared."""
    renew, join = free_ports(2)
    settings = CitadelSettings(
        data_dir=folder,
        registry="memory://",
        listen=f"127.0.0.1:{renew}",
        join_listen=f"127.0.0.1:{join}",
        socket=folder / "s",
    )
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in ("root-cert.pem", "root-key.pem") if root_of else ():
        (folder / name).write_bytes((root_of / name).read_bytes())
        (folder / name).chmod(0o600)
    rooms = Rooms(key_room(settings))
    if make and not rooms.first.has_root():
        rooms.first.make_root()
    metrics, health = CollectorRegistry(), Health()
    context = Context(name="citadeld", node="test", log=Log("test"), health=health, metrics=metrics)
    registry = sealed_registry(store, settings, context, rooms=rooms, metrics=Metrics(metrics), now=utc_now)
    return Replica(registry, metrics, health)


def ban(reason: str = "lost", at: datetime | None = None) -> bytes:
    return Ban(str(CART), (at or datetime.now(UTC)).isoformat(), "root", reason).encode()


def changed(value: bytes, **fields: str) -> bytes:
    """A signed value with other content and the old signature."""
    body, _ = split(value)
    fresh = json.dumps({**json.loads(body), **fields}).encode()
    return fresh[:-1] + value[len(body) - 1 :]


def by_somebody(body: bytes, key: str) -> bytes:
    """Signed for the place, with a key of the writer's own."""
    return sign(body, SigningKey.new(), place=f"default/{key.removeprefix(ROOT)}", sequence=10**15)
