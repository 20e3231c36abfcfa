"""All parts of discovery, put together over one registry; transport and identity are the caller's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from artemon.daemon.health import Health
from artemon.daemon.secrets_key import vault_of
from artemon.daemon.signers import Signers
from artemon.log import Log
from artemon.model.hosts import DEFAULT_DOMAIN
from artemon.model.secret import SealedSecret, Unseal
from artemon.registry.aggregate import Registries
from artemon.registry.open import Opened
from artemon.snapshot.gateway_conflicts import told
from artemon.snapshot.holds import Rules
from artemon.snapshot.world import World
from artemon.store import clock
from artemon.store.api import Store
from artemon.store.follow import FollowMetrics
from artemon.store.layout import Layout
from artemon.translate.generators import Generators
from artemon.xds.subscription import SharedNames
from artemon.xds.wire import Bodies
from pilotd.bookkeeping import Bookkeeping
from pilotd.connection import Serving
from pilotd.debug import Pages
from pilotd.export import Exports
from pilotd.fleet import Fleet, Limits
from pilotd.guard import Guard
from pilotd.ingest import Ingest
from pilotd.keysets.fetch import fetch_keys
from pilotd.keysets.keeper import KeyKeeper
from pilotd.keysets.saved import SavedKeys
from pilotd.metrics import Metrics
from pilotd.publish import Publisher


@dataclass(frozen=True, slots=True)
class Keys:
    """How keys of token issuers are fetched. refresh: seconds between fetches; keep: seconds that a key set
    counts after it was fetched last; allowed: hosts that may be on this machine."""

    refresh: float = 300.0
    keep: float = 3600.0
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Options:
    """What decides how discovery works. pilot: the name of this process. data_dir: None keeps nothing.
    secrets_key_file: opens Secrets; "": none is delivered. registries: beside the mesh's own records."""

    pilot: str
    mesh: str = "default"
    domain: str = DEFAULT_DOMAIN
    trust_domain: str = "cluster.local"
    data_dir: Path | None = None
    lease_ttl: float = 15.0
    limits: Limits = field(default_factory=Limits)
    guard: Rules = field(default_factory=Rules)
    require_identity: bool = True
    secrets_key_file: str = ""
    registries: tuple[Opened, ...] = ()
    keys: Keys = field(default_factory=Keys)


def _opener(options: Options) -> Unseal:
    vault = vault_of(options.mesh, options.secrets_key_file)

    def unseal(one: SealedSecret) -> Mapping[str, bytes]:
        return vault.open(one.sealed, namespace=one.namespace, name=one.name, generation=one.generation)

    return unseal


class Discovery:
    """Reads `store` and knows what every connected proxy should have. `serving` is what streams need.
    signers: whose configuration is taken, trust: whose roots and revocations; None: everybody's."""

    def __init__(
        self,
        store: Store,
        options: Options,
        *,
        log: Log,
        registry: CollectorRegistry,
        signers: Signers | None = None,
        trust: Signers | None = None,
        now: Callable[[], float] = clock.now,
    ) -> None:
        layout, metrics = Layout(options.mesh), Metrics(registry)
        shared: Any = {"log": log, "metrics": metrics, "now": now}
        self.world = World(domain=options.domain)
        self.fleet = Fleet(Generators(), log, metrics, now=now, limits=options.limits)
        self.ingest = Ingest(
            store,
            layout,
            self.world,
            guard=Guard(options.guard),
            views=FollowMetrics(registry),
            data_dir=options.data_dir,
            unseal=_opener(options),
            signers=signers,
            trust=trust,
            **shared,
        )
        self.registries = Registries(
            options.registries,
            self.ingest.take_in,
            log=log,
            registry=registry,
            now=now,
            data_dir=options.data_dir,
        )
        self.ingest.also(lambda: self.registries.waiting)
        self._keys = self._keeper(options, log)
        self._exports = Exports(store, layout, options.registries, pilot=options.pilot, log=log)
        self.publisher = Publisher(
            self.ingest,
            self.world,
            self.fleet,
            want_keys=self._keys.want,
            published=self._exports.offer,
            **shared,
        )
        self._books = Bookkeeping(
            store,
            layout,
            pilot=options.pilot,
            lease_ttl=options.lease_ttl,
            returning=self.ingest.returning,
            settled=lambda: self.ingest.settle(len(self.fleet.clients)),
            **shared,
        )
        self.ingest.on_lost(self._books.rewrite)
        self.records = self._books.records
        self.pages = self._pages()
        self.serving = self._serving(options, shared)

    def _pages(self) -> Pages:
        return Pages(
            self.fleet,
            self._problems,
            registries=self._registries,
            release=lambda: {"mesh": self.ingest.release(), **self.registries.release()},
        )

    def _serving(self, options: Options, shared: Any) -> Serving:
        return Serving(
            fleet=self.fleet,
            records=self.records,
            groups=lambda key: self.world.resources("WorkloadGroup").get(key),
            bodies=Bodies(),
            names=SharedNames(),
            trust_domain=options.trust_domain,
            require_identity=options.require_identity,
            **shared,
        )

    def _keeper(self, options: Options, log: Log) -> KeyKeeper:
        allowed = options.keys.allowed

        async def fetch(source: str, timeout: float) -> str:
            return await fetch_keys(source, timeout=timeout, allowed=allowed)

        folder = options.data_dir / "keysets" if options.data_dir else None
        return KeyKeeper(
            fetch,
            self.ingest.take_in,
            saved=SavedKeys(folder),
            wall=time.time,
            log=log.bind(part="keysets"),
            refresh=options.keys.refresh,
            keep=options.keys.keep,
        )

    def _registries(self) -> list[dict[str, Any]]:
        others = ({**one, **self._exports.status(one["name"])} for one in self.registries.status())
        return [self.ingest.status(), *others]

    def _problems(self) -> Mapping[str, list[str]]:
        found = {key: [str(one) for one in many] for key, many in sorted(self.world.problems.items())}
        for conflict, port in self.publisher.conflicts.items():
            told_of = found.setdefault(f"config/gateways/{conflict.gateway}", [])
            told_of.append(f"spec.servers[{conflict.index}]: {told(conflict, port)}")
        return found

    async def run(self, health: Health) -> None:
        """Work until cancelled."""
        self._keys.load()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keys.run(), name="keysets")
            tasks.create_task(self.ingest.run(health), name="ingest")
            tasks.create_task(self.registries.run(), name="registries")
            tasks.create_task(self.publisher.run(), name="publisher")
            tasks.create_task(self._exports.run(), name="exports")
            self._books.start(tasks, health)
