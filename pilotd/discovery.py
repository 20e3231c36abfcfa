"""All parts of discovery, put together over one registry; transport and identity are the caller's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
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
from pilotd.connection import Serving
from pilotd.debug import Pages
from pilotd.export import Exports
from pilotd.fleet import Fleet, Limits
from pilotd.guard import Guard
from pilotd.ingest import Ingest
from pilotd.keysets.fetch import fetch_keys
from pilotd.keysets.keeper import KeyKeeper
from pilotd.keysets.saved import SavedKeys
from pilotd.leased import LeasedRecords
from pilotd.metrics import Metrics
from pilotd.publish import Publisher
from pilotd.records import Records
from pilotd.vigil import Vigil

STATUS_GATHER = 0.02
"""Seconds to wait for the answers of other proxies before statuses are written."""
ANOTHER_STATE = frozenset({"reset", "compacted", "diverged"})
"""Reasons of a new snapshot after which the registry may hold what this process never wrote."""
STATUS_PAUSE = 0.1
"""Seconds between two writes of statuses, so that a burst of pushes is one write."""


def time_of_day() -> str:
    """RFC 3339, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


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


def _leased(
    what: str,
    store: Store,
    options: Options,
    *,
    log: Log,
    failed: Callable[[str], None],
    pause: float = 0.0,
    gather: float = 0.0,
) -> LeasedRecords:
    return LeasedRecords(
        store,
        log.bind(records=what),
        ttl=options.lease_ttl,
        pause=pause,
        gather=gather,
        failed=failed,
    )


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
        layout = Layout(options.mesh)
        metrics = Metrics(registry)
        self.world = World(domain=options.domain)
        self.fleet = Fleet(Generators(), log, metrics, now=now, limits=options.limits)
        guard, views = Guard(options.guard), FollowMetrics(registry)
        shared: Any = {"log": log, "metrics": metrics, "now": now}
        kept: Any = {
            "data_dir": options.data_dir,
            "unseal": _opener(options),
            "signers": signers,
            "trust": trust,
        }
        self.ingest = Ingest(store, layout, self.world, guard=guard, views=views, **kept, **shared)
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
        self._health: Health | None = None
        written = partial(self._written, metrics)
        for what in ("workloads", "statuses"):
            metrics.registry_failures.labels(what)  # there from the start
        self._workloads = _leased("workloads", store, options, log=log, failed=partial(written, "workloads"))
        self._statuses = _leased(
            "statuses",
            store,
            options,
            log=log,
            failed=partial(written, "statuses"),
            pause=STATUS_PAUSE,
            gather=STATUS_GATHER,
        )
        self.ingest.on_lost(self._rewrite)
        own = layout.workloads
        metrics.workloads.set_function(lambda: sum(key.startswith(own) for key in self._workloads.keys))
        self._vigil = Vigil(store, layout, self._workloads, pilot=options.pilot, log=log, now=now)
        self.records = Records(
            layout, self._workloads, self._statuses, log, pilot=options.pilot, now=now, wall=time_of_day
        )
        self.pages = Pages(
            self.fleet,
            self._problems,
            registries=self._registries,
            release=lambda: {"mesh": self.ingest.release(), **self.registries.release()},
        )
        self.serving = Serving(
            fleet=self.fleet,
            records=self.records,
            groups=lambda key: self.world.resources("WorkloadGroup").get(key),
            bodies=Bodies(),
            names=SharedNames(),
            trust_domain=options.trust_domain,
            require_identity=options.require_identity,
            **shared,
        )

    def _written(self, metrics: Metrics, what: str, reason: str) -> None:
        """Records could not be written for `reason`; "": they are."""
        if reason:
            metrics.registry_failures.labels(what).inc()
        if self._health is not None:
            self._health.degrade(f"{what} are not written", reason)

    def _rewrite(self, lost: Set[str], reason: str) -> None:
        """Records whose proxies are connected here stand, whoever deleted them or put a backup back."""
        self._workloads.lost(lost)
        if reason in ANOTHER_STATE:
            self._workloads.again()
            self._statuses.again()

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
        self._health = health
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keys.run(), name="keysets")
            tasks.create_task(self.ingest.run(health), name="ingest")
            tasks.create_task(self.registries.run(), name="registries")
            tasks.create_task(self.publisher.run(), name="publisher")
            tasks.create_task(self._exports.run(), name="exports")
            tasks.create_task(self._workloads.run(), name="workloads")
            tasks.create_task(self._statuses.run(), name="statuses")
            tasks.create_task(self.records.run(), name="departures")
            tasks.create_task(self._vigil.run(), name="vigil")
