"""citadeld put together: keys, bundle, issuer, listeners, and what is done from time to time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Self

from cryptography import x509

from artemon.daemon.audit import AuditLog
from artemon.daemon.registry import open_registry, silence
from artemon.daemon.run import Context
from artemon.daemon.signers import Signers, read_pinned
from artemon.pki.certificate import Authority, validity_of
from artemon.store.api import Election, Store
from artemon.store.layout import Layout
from artemon.store.schema import guard
from citadeld.attestation import Attestation
from citadeld.attestors.api import Surroundings
from citadeld.attestors.open import open_attestors
from citadeld.authorities.open import open_authority
from citadeld.authority import KeyRoom, Lifetimes, describe
from citadeld.books import Books
from citadeld.callers import PER_ADDRESS, PER_IDENTITY, Door
from citadeld.clusters.run import clusters_of
from citadeld.decision import Method
from citadeld.fellows import Fellows
from citadeld.grants import Grants
from citadeld.issuer import Issuer
from citadeld.keyfiles import KeyFiles, passphrases
from citadeld.limits import Limiter
from citadeld.listeners import serve
from citadeld.metrics import Metrics
from citadeld.names import Names
from citadeld.own import Current, certify_oneself, is_half_over
from citadeld.peers import serve_attestation
from citadeld.publish import publish, read_bundle
from citadeld.records import Records
from citadeld.registry import AUDIT, Registry, answers, sealed_registry
from citadeld.revoker import Revoker
from citadeld.rooms import Rooms
from citadeld.rotating import Rotating
from citadeld.rotation import ROLE, Rotation
from citadeld.services import Services
from citadeld.settings import OWN, CitadelSettings
from citadeld.sweep import KEEP, sweep
from citadeld.tokens import Tokens
from citadeld.upkeep import Upkeep

METHODS: tuple[Method, ...] = ("certificate", "token", "machine", "peer", "socket")
REFRESH_SECONDS = 30
SWEEP_SECONDS = 300


def utc_now() -> datetime:
    """The time of day, with its zone."""
    return datetime.now(UTC)


def key_room(settings: CitadelSettings) -> KeyRoom:
    """The data directory."""
    lifetimes = Lifetimes(timedelta(days=settings.root_days), timedelta(days=settings.intermediate_days))
    keys = KeyFiles(passphrases(settings.key_encryption), settings.key_type, settings.root_key_type)
    room = KeyRoom(settings.data_dir, settings.trust_domain, lifetimes, utc_now, keys)
    if settings.authority == OWN:
        return room
    return replace(room, source=open_authority(settings.authority, room.place))


async def citadeld(settings: CitadelSettings, context: Context) -> None:
    """Artemon's certificate authority: gives every workload its identity."""
    context.health.expect("trust", "the trust bundle is not published yet")
    store = await open_registry(settings.registry, settings.mesh, silence(context.health))
    try:
        if await answers(store, settings, context):
            await (await Citadel.over(store, settings, context)).run()
    finally:
        await store.close()


async def _first_authority(rooms: Rooms, registry: Registry, context: Context) -> Authority:
    """What to sign with; the root is made where nobody has one yet."""
    found = await registry.first_bundle()
    if found is None and not rooms.first.has_root():
        root = await asyncio.to_thread(rooms.first.make_root)
        context.log.info("root_made", root=describe(root))
    return rooms.active(found.roots if found else ()).load()


class Citadel:
    """One running citadeld. per_address, per_identity: how often one may ask."""

    per_address, per_identity = PER_ADDRESS, PER_IDENTITY

    @classmethod
    async def over(cls, store: Store, settings: CitadelSettings, context: Context) -> Self:
        """One over a registry, with keys; it does not run yet. Raises ArtemonError, StoreError."""
        rooms, metrics = Rooms(key_room(settings)), Metrics(context.metrics)
        registry = sealed_registry(store, settings, context, rooms=rooms, metrics=metrics, now=utc_now)
        authority = await _first_authority(rooms, registry, context)
        return cls(settings, context, registry, metrics=metrics, authority=authority)

    def __init__(
        self,
        settings: CitadelSettings,
        context: Context,
        registry: Registry,
        *,
        metrics: Metrics,
        authority: Authority,
    ) -> None:
        store = self._store = registry.store
        self._settings, self._context, self._registry = settings, context, registry
        self._rooms, self._metrics = registry.rooms, metrics
        self._authority, self._current, self._refreshing = authority, Current(), asyncio.Lock()
        self._audit, self._records = AuditLog(settings.data_dir / AUDIT), Records(store)
        self._revoker = Revoker(store, settings.prefix, self._signing, utc_now)
        self._tokens = Tokens(store, settings.prefix, now=utc_now)
        self._grants = Grants(store, Layout(settings.mesh), self._signers(), context.log)
        around = Surroundings(settings.trust_domain, self._tokens, utc_now, context.log)
        self._attestors = open_attestors(settings.attestors, around)
        self._clusters = clusters_of(settings, store, context.node, self._revoker.known, context.log)
        self._issuer = Issuer(
            store=store,
            records=self._records,
            prefix=settings.prefix,
            authority=lambda: self._authority,
            names=Names.parse(settings.names),
            audit=self._audit,
            metrics=self._metrics,
            now=utc_now,
        )
        self._rotation = self._rotating()

    def _rotating(self) -> Rotation:
        settings, context, store, rooms = self._settings, self._context, self._store, self._rooms
        return Rotation(
            store,
            settings.prefix,
            rooms,
            self._revoker,
            self._audit,
            context.log,
            utc_now,
            timedelta(seconds=settings.rotation_dwell_seconds),
            self._refresh,
            Fellows(store, settings.prefix, context.node, rooms=rooms, audit=self._audit, log=context.log),
            lambda: self._authority,
        )

    async def run(self) -> None:
        """Serve until the daemon is told to stop."""
        settings, context = self._settings, self._context
        upkeep = Upkeep(context.health, context.log)
        async with asyncio.TaskGroup() as tasks:
            audit = tasks.create_task(self._audit.run(), name="audit")
            records = tasks.create_task(self._records.run(), name="records")
            guarding = guard(self._store, settings.prefix, silence(context.health))
            schema = tasks.create_task(guarding, name="schema")
            await self._refresh()
            election = await self._store.elect(settings.prefix + ROLE, context.node)
            beside = [
                tasks.create_task(self._grants.run(), name="grants"),
                *(tasks.create_task(one.attestor.run(), name=one.name) for one in self._attestors),
                tasks.create_task(self._revoker.follow(self._failed), name="revocation"),
                tasks.create_task(self._rotation.run(election), name="rotation"),
                tasks.create_task(self._registry.mending.run(), name="mending"),
            ]
            if self._clusters.clusters:
                beside.append(
                    tasks.create_task(
                        self._clusters.run(self._issuer, self._current.the_bundle), name="clusters"
                    )
                )
            services = self._services(election)
            doors = self._doors()
            async with (
                serve(settings, services, doors, self._current.the_identity) as bound,
                serve_attestation(settings.attest_socket, services, doors["peer"], context.log),
            ):
                upkeep.repeat(self._refresh, REFRESH_SECONDS, told=True)
                upkeep.repeat(self._sweep, SWEEP_SECONDS)
                upkeep.start()
                context.health.meet("trust")
                context.log.info("serving", **bound, root=describe(self._authority.root))
                await context.stop.wait()
                upkeep.stop()
            schema.cancel()
            for task in beside:
                task.cancel()
            await self._rotation.fellows.leave()
            await election.resign()
            records.cancel()
            audit.cancel()

    def _services(self, election: Election) -> Services:
        return Services(
            trust_domain=self._settings.trust_domain,
            leaf=timedelta(seconds=self._settings.leaf_seconds),
            token_ttl=timedelta(seconds=self._settings.token_seconds),
            issuer=self._issuer,
            attestation=Attestation(
                self._attestors,
                self._grants,
                self._store,
                self._settings.prefix,
                self._settings.trust_domain,
                Limiter(self.per_identity),
                self._metrics,
            ),
            tokens=self._tokens,
            audit=self._audit,
            metrics=self._metrics,
            bundle=self._current.the_bundle,
            books=Books(self._settings.trust_domain, self._revoker, self._audit),
            rotating=Rotating(self._rotation, election),
            log=self._context.log,
        )

    def _doors(self) -> dict[Method, Door]:
        shared = (self._settings.trust_domain, self._metrics, Limiter(self.per_address))
        return {method: Door(method, *shared, self._revoker.known) for method in METHODS}

    def _signers(self) -> Signers:
        """Whose grants count."""
        settings, log = self._settings, self._context.log
        pinned = read_pinned(settings.config_keys_file) if settings.config_keys_file else ()
        roots = None if pinned else (lambda: self._current.the_bundle().roots_pem)
        return Signers(settings.mesh, settings.trust_domain, roots=roots, pinned=pinned, log=log)

    def _signing(self) -> list[Authority]:
        """The authorities whose revocation lists are signed here."""
        return self._rooms.authorities()

    def _failed(self, error: BaseException) -> None:
        self._context.log.error("revocation_lists_not_signed", reason=error)

    async def _refresh(self) -> None:
        """Keep the intermediate, the bundle and our own certificate fresh, and say when they end. One at a
        time: what an older look at the bundle led to must not come after a newer one."""
        async with self._refreshing:
            await self._refresh_alone()

    async def _refresh_alone(self) -> None:
        settings, domain = self._settings, self._settings.trust_domain
        before = await read_bundle(self._store, settings.prefix)
        known = before.intermediates if before else ()
        roots = before.roots if before else ()
        active = self._rooms.active(roots)
        for room in (active, *self._rooms.trusted(roots)):
            authority = await asyncio.to_thread(room.load)
            await self._revoker.sign_lists(authority)  # before anybody can meet it
            bundle = await publish(
                self._store,
                settings.prefix,
                authority,
                trust_domain=domain,
                now=utc_now,
                last=self._registry.store.last_good,
            )
            if authority.certificate not in known:
                self._context.log.info("intermediate_made", intermediate=describe(authority.certificate))
        if self._current.bundle is not None and self._current.bundle.roots != bundle.roots:
            self._grants.again()
        self._current.bundle = bundle
        await self._registry.upkeep()
        await self._revoker.draining.catch_up()
        self._use(await asyncio.to_thread(active.load), known)
        authority = self._authority
        own = self._current.identity
        if own is None or is_half_over(own, bundle, authority):
            self._current.identity = await certify_oneself(self._issuer, bundle)
        root_end = authority.root.not_valid_after_utc
        self._metrics.root_expiry.set(root_end.timestamp())
        self._metrics.root_seconds.set((root_end - utc_now()).total_seconds())
        self._metrics.chain_expiry.set(authority.certificate.not_valid_after_utc.timestamp())

    def _use(self, authority: Authority, known: Sequence[x509.Certificate]) -> None:
        """Issue under `authority`. One that was made just now waits until the next time, while the one before
        is good: everyone shall have its revocation list first."""
        before = self._authority
        is_new = authority.certificate not in known and before.certificate in known
        if not (is_new and validity_of(before.certificate).contains(utc_now())):
            self._authority = authority

    async def _sweep(self) -> None:
        removed = await sweep(self._store, self._settings.prefix, self._tokens, now=utc_now())
        removed += await self._revoker.sweep(KEEP)
        if removed:
            self._context.log.info("swept", keys=removed)
