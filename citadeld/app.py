"""citadeld put together: keys, bundle, issuer, listeners, and what is done from time to time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from artemon.daemon.audit import AuditLog
from artemon.daemon.registry import open_registry
from artemon.daemon.run import Context
from artemon.errors import ArtemonError
from artemon.pki.certificate import Authority
from artemon.store.api import Store
from artemon.store.schema import guard
from citadeld.authority import KeyRoom, Lifetimes, describe
from citadeld.callers import PER_ADDRESS, PER_IDENTITY, Door
from citadeld.decision import Method
from citadeld.issuer import Issuer
from citadeld.limits import Limiter
from citadeld.listeners import serve
from citadeld.metrics import Metrics
from citadeld.names import Names
from citadeld.own import Current, certify_oneself, is_half_over
from citadeld.publish import publish, read_bundle
from citadeld.services import Services
from citadeld.settings import CitadelSettings
from citadeld.sweep import sweep
from citadeld.tokens import Tokens

METHODS: tuple[Method, ...] = ("certificate", "token", "socket")
REFRESH_SECONDS = 30
SWEEP_SECONDS = 300
AUDIT = "audit.jsonl"


def utc_now() -> datetime:
    """The time of day, with its zone."""
    return datetime.now(UTC)


def key_room(settings: CitadelSettings) -> KeyRoom:
    """The data directory."""
    lifetimes = Lifetimes(timedelta(days=settings.root_days), timedelta(days=settings.intermediate_days))
    return KeyRoom(settings.data_dir, settings.trust_domain, lifetimes, utc_now)


async def citadeld(settings: CitadelSettings, context: Context) -> None:
    """Artemon's certificate authority: gives every workload its identity."""
    context.health.expect("trust", "the trust bundle is not published yet")
    room = key_room(settings)
    store = await open_registry(settings.registry, settings.mesh)
    try:
        await _first_root(room, store, settings, context)
        await Citadel(settings, context, store, room).run()
    finally:
        await store.close()


async def _first_root(room: KeyRoom, store: Store, settings: CitadelSettings, context: Context) -> None:
    if room.has_root():
        return
    found = await read_bundle(store, settings.prefix)
    if found is not None:
        known = ", ".join(describe(root) for root in found.roots)
        raise ArtemonError(
            f"the mesh trusts the root {known} and {settings.data_dir} has none: copy root-cert.pem and "
            "root-key.pem of the first replica there"
        )
    root = await asyncio.to_thread(room.make_root)
    context.log.info("root_made", root=describe(root))


class Citadel:
    """One running citadeld."""

    def __init__(self, settings: CitadelSettings, context: Context, store: Store, room: KeyRoom) -> None:
        self._settings, self._context, self._store, self._room = settings, context, store, room
        self._authority: Authority = room.load()
        self._current = Current()
        self._metrics = Metrics(context.metrics)
        self._audit = AuditLog(settings.data_dir / AUDIT)
        self._tokens = Tokens(store, settings.prefix, now=utc_now)
        self._issuer = Issuer(
            store=store,
            prefix=settings.prefix,
            authority=lambda: self._authority,
            names=Names.parse(settings.names),
            audit=self._audit,
            metrics=self._metrics,
            now=utc_now,
        )

    async def run(self) -> None:
        """Serve until the daemon is told to stop."""
        settings, context = self._settings, self._context
        scheduler = AsyncIOScheduler(timezone=UTC)
        async with asyncio.TaskGroup() as tasks:
            audit = tasks.create_task(self._audit.run(), name="audit")
            schema = tasks.create_task(guard(self._store, settings.prefix), name="schema")
            await self._refresh()
            async with serve(settings, self._services(), self._doors(), self._current.the_identity) as bound:
                for work, seconds in ((self._refresh, REFRESH_SECONDS), (self._sweep, SWEEP_SECONDS)):
                    _repeat(scheduler, self._tried(work), seconds)
                scheduler.start()
                context.health.meet("trust")
                context.log.info("serving", **bound, root=describe(self._authority.root))
                await context.stop.wait()
                scheduler.shutdown(wait=False)
            schema.cancel()
            audit.cancel()

    def _services(self) -> Services:
        return Services(
            trust_domain=self._settings.trust_domain,
            leaf=timedelta(seconds=self._settings.leaf_seconds),
            token_ttl=timedelta(seconds=self._settings.token_seconds),
            issuer=self._issuer,
            tokens=self._tokens,
            audit=self._audit,
            metrics=self._metrics,
            bundle=self._current.the_bundle,
            log=self._context.log,
        )

    def _doors(self) -> dict[Method, Door]:
        identities, addresses = Limiter(PER_IDENTITY), Limiter(PER_ADDRESS)
        shared = (self._settings.trust_domain, self._tokens, self._metrics, identities, addresses)
        return {method: Door(method, *shared) for method in METHODS}

    async def _refresh(self) -> None:
        """Keep the intermediate, the bundle and our own certificate fresh, and say when they end."""
        settings = self._settings
        authority = await asyncio.to_thread(self._room.load)
        if authority.certificate != self._authority.certificate:
            self._context.log.info("intermediate_made", intermediate=describe(authority.certificate))
        domain = settings.trust_domain
        bundle = await publish(self._store, settings.prefix, authority, trust_domain=domain, now=utc_now)
        self._authority, self._current.bundle = authority, bundle
        own = self._current.identity
        if own is None or is_half_over(own, bundle):
            self._current.identity = await certify_oneself(self._issuer, bundle)
        root_end = authority.root.not_valid_after_utc
        self._metrics.root_expiry.set(root_end.timestamp())
        self._metrics.root_seconds.set((root_end - utc_now()).total_seconds())
        self._metrics.chain_expiry.set(authority.certificate.not_valid_after_utc.timestamp())

    async def _sweep(self) -> None:
        removed = await sweep(self._store, self._settings.prefix, self._tokens, now=utc_now())
        if removed:
            self._context.log.info("swept", keys=removed)

    def _tried(self, work: Callable[[], Any]) -> Callable[[], Any]:
        """`work`, whose failure is logged: the next time may go better."""

        async def tried() -> None:
            try:
                await work()
            except (ArtemonError, OSError) as error:
                self._context.log.error("upkeep_failed", work=work.__name__.strip("_"), reason=error)

        return tried


def _repeat(scheduler: AsyncIOScheduler, work: Callable[[], Any], seconds: int) -> None:
    scheduler.add_job(work, "interval", seconds=seconds, jitter=seconds // 10, coalesce=True, max_instances=1)
