"""Composition of galleyd."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web

from artemon.daemon.audit import AuditLog
from artemon.daemon.files import make_private_dir
from artemon.daemon.http import health_routes, serve_app
from artemon.daemon.identity import IdentityKeeper
from artemon.daemon.identity_tls import ssl_server_context
from artemon.daemon.registry import keep_schema, open_registry, silence
from artemon.daemon.run import Context
from artemon.daemon.secrets_key import vault_of
from artemon.daemon.trust import TrustFollower, trust_signers
from artemon.errors import ArtemonError, Problem
from artemon.kube.cluster import read_clusters
from artemon.model.kinds import GATEWAY, SECRET, SERVICE_ENTRY
from artemon.model.resource import Kind
from artemon.store.api import Stale, Store, WatchItem
from artemon.store.layout import Layout
from artemon.validate import Context as Rules
from artemon.validate import problems, untranslated
from galleyd import callers, described, entrance
from galleyd.addresses import Addresses, InTurn
from galleyd.admission import Admission
from galleyd.analysis import Analysis
from galleyd.around import Around
from galleyd.authenticity import Authenticity
from galleyd.bindings import Granted
from galleyd.certificates import Certificates
from galleyd.clusters.mesh import Mesh
from galleyd.clusters.run import Clusters
from galleyd.clusters.settings import ReadOptions
from galleyd.core import Core
from galleyd.edits import Edits
from galleyd.feed import Feed
from galleyd.history import trim
from galleyd.keys import Keys
from galleyd.metrics import Verdicts
from galleyd.neighbours import Neighbours
from galleyd.objects import Stored
from galleyd.ours import Ours
from galleyd.references import References
from galleyd.relay import Relay
from galleyd.rest import Rest
from galleyd.rights import Rights
from galleyd.rulebook import Rulebook
from galleyd.secrets import Secrets
from galleyd.server import Requests, application
from galleyd.settings import GalleySettings
from galleyd.table import Table
from galleyd.trail import Trail
from galleyd.vetting import Vetting, guarded_hosts
from galleyd.webhook import Webhook
from galleyd.writer import Writer
from galleyd.writes import decode

AUDIT = "audit.jsonl"


async def app(settings: GalleySettings, context: Context) -> None:
    """The configuration of the mesh: REST API, validation, history."""
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(_run(settings, context), name="galleyd")
        await context.stop.wait()
        running.cancel()


async def _run(settings: GalleySettings, context: Context) -> None:
    make_private_dir(Path(settings.state_dir))
    context.health.expect("registry", f"the first view of {settings.registry}")
    context.health.expect("api", "the REST API is not served yet")
    keeper = await _identity(settings, context)
    async with AsyncExitStack() as stack:
        store = await open_registry(settings.registry, settings.mesh, silence(context.health))
        stack.push_async_callback(store.close)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        parts = Parts(settings, store, context, keeper)
        for job in parts.jobs():
            tasks.create_task(job)
        await parts.config.until(lambda: parts.config.synced, float("inf"))
        tls = parts.tls()
        address = await stack.enter_async_context(
            serve_app(settings.listen, parts.application(), tls=tls, kept="api", keepalive_timeout=75)
        )
        stack.callback(parts.close)
        context.health.meet("api")
        tasks.create_task(parts.clusters.run(parts.mesh), name="clusters")
        context.log.info("serving", address=address, registry=settings.registry)
        await parts.reloads(tls)


async def _identity(settings: GalleySettings, context: Context) -> IdentityKeeper | None:
    """The identity that citadeld gives; None where none is asked for."""
    if settings.citadeld:
        context.health.expect("identity", "a certificate from citadeld")
        keeper = IdentityKeeper(settings.identity_options("galleyd"), context.log)
        await keeper.start()
        context.health.meet("identity")
        return keeper
    if not settings.tls_cert:
        raise ArtemonError("galleyd serves HTTPS only: set citadeld, or tls_cert and tls_key")
    return None


class Parts:
    """Everything that makes up one galleyd."""

    def __init__(
        self, settings: GalleySettings, store: Store, context: Context, keeper: IdentityKeeper | None
    ) -> None:
        self._settings, self._store, self._context, self._keeper = settings, store, context, keeper
        self.keys = Keys(Layout(settings.mesh))
        self.config, self.proxies = Feed(), Feed()
        self.around = Around(self.keys.layout)
        self.tokens = callers.Tokens({})
        self.authenticity = Authenticity(settings, store, context, keeper)
        self.granted = Granted(
            self.keys,
            entries=self.config.values,
            position=lambda: (self.config.generation, self.config.position),
            problems=lambda resource: [one for one in problems(resource) if one.level == "error"],
            is_ours=self.authenticity.is_ours,
        )
        read = read_clusters(settings.clusters, ReadOptions)
        self.clusters = Clusters(read, store, context.node, keeper, context.log)
        self._oidc = entrance.oidc(settings, context.log)
        ours = (settings.registry, settings.listen, *settings.citadeld, *settings.pilotd)
        self.guarded = guarded_hosts(*ours)
        self.rights = Rights(self.granted.bindings)
        audit = Path(settings.state_dir) / AUDIT
        self.trail = Trail(AuditLog(audit), audit)
        self.writer = Writer(store, self.keys, audit=self.trail.log.append, seal=self.authenticity.signer)

    def jobs(self) -> list[Coroutine[Any, Any, None]]:
        """What runs beside the server."""
        limit, log = self._settings.history_limit, self._context.log
        jobs = [
            self.trail.log.run(),
            *self.authenticity.jobs(),
            follow(self._store, self.keys.layout.configs, self.config, self._context, self.authenticity.seen),
            follow(self._store, self.keys.layout.statuses, self.proxies, self._context),
            *(follow(self._store, at, feed, self._context) for at, feed in self.around.feeds.items()),
            self.writer.stager.run(),
            trim(self._store, self.keys.layout.histories, limit, log),
            keep_schema(self._store, self.keys.layout.root, silence(self._context.health)),
        ]
        jobs += [self._oidc.jwks.run()] if self._oidc else []
        if self._keeper is None:
            return jobs
        return [*jobs, self._keeper.run(), self._trust(self._keeper).run()]

    def _trust(self, keeper: IdentityKeeper) -> TrustFollower:
        """What says whom to trust."""
        settings, context = self._settings, self._context
        checked = settings.trust_signatures == "required"
        return TrustFollower(
            self._store,
            self.keys.layout,
            keeper,
            signers=trust_signers(settings.mesh, settings.trust_domain, keeper, context.log)
            if checked
            else None,
            log=context.log,
            forged=lambda reason: context.health.degrade("trust", reason),
        )

    def application(self) -> web.Application:
        """The HTTP application."""
        context = self._context
        verdicts = Verdicts(context.metrics)
        rules = Rules(parse_envoy=_parse_envoy)
        checks = (lambda resource: problems(resource, rules), untranslated)
        admission = Admission(checks, verdicts.count)
        secrets = Secrets(vault_of(self._settings.mesh, self._settings.secrets_key_file))
        edits = Edits(
            self.writer,
            admission,
            {SECRET.name: secrets},
            InTurn(
                (
                    Addresses(partial(self._stock, SERVICE_ENTRY)),
                    Neighbours(partial(self._stock, GATEWAY)),
                    References(self._stock, self.around),
                )
            ),
            self._vetting(),
            Rulebook(self._store, self.keys, self.around.mesh),
        )
        order = [one.name for one in self.clusters.clusters]
        self.mesh = Mesh(edits, self.keys, self.config, self.proxies, order, self.around)
        rest = Rest(edits, self._store, self.keys, self.config, Table())
        relay = Relay(self._keeper.current if self._keeper else None, self._settings)
        routes = [
            *health_routes(context.health, context.metrics),
            *described.routes(),
            *Webhook(checks, verdicts.count).routes(),
            *Core(rest).routes(),
            *Ours(edits, self.keys, self.proxies, self._settings.daemons).routes(),
            *Analysis(self.config, self.around, _parse_envoy).routes(),
            *relay.routes(),
            *Certificates(relay.citadeld).routes(),
            *self.trail.routes(),
            *self.authenticity.routes(),
            *rest.routes(),
        ]
        self.gate = entrance.gate(self._settings, self.tokens, self.rights, self._oidc)
        return application(routes, self.gate, Requests(context.metrics), self.trail, context.log)

    def _stock(self, kind: Kind) -> list[Stored]:
        """All objects of a kind as they were last seen."""
        prefix = self.keys.collection(kind)
        found = (decode(entry) for entry in self.config.values() if entry.key.startswith(prefix))
        return [stored for stored in found if stored]

    def _vetting(self) -> Vetting:
        return Vetting(
            keys=self.keys,
            entries=self.config.values,
            grants=self.granted.grants,
            namespaces=self._namespaces,
            guarded=self.guarded,
            workloads=self.around.workloads,
        )

    def _namespaces(self) -> set[str]:
        """The namespaces that objects and proxies are in."""
        keys = self.keys.layout
        objects = {entry.key.removeprefix(keys.configs).split("/")[1] for entry in self.config.values()}
        return objects | {entry.key.rpartition(".")[2] for entry in self.proxies.values()}

    def tls(self) -> ssl.SSLContext:
        """The server's TLS: a certificate of the operator's own, or the identity."""
        settings = self._settings
        if settings.tls_cert:
            return entrance.own_certificate(settings)
        assert self._keeper is not None
        return ssl_server_context(self._keeper.current)

    def close(self) -> None:
        """Let every watching and waiting client go."""
        self.config.close()
        self.proxies.close()

    async def reloads(self, tls: ssl.SSLContext) -> None:
        """Read one's own certificate and the tokens again at every SIGHUP, until cancelled. What cannot be
        read is told, and what was in force stays."""
        settings, context = self._settings, self._context
        while True:
            await context.reload.wait()
            context.reload.clear()
            try:
                self.tokens.replace(entrance.known(settings))
                if settings.tls_cert:
                    tls.load_cert_chain(settings.tls_cert, settings.tls_key)
                context.log.info("reloaded")
            except (ArtemonError, OSError) as error:
                context.log.error("not_reloaded", reason=error)


def _parse_envoy(apply_to: str, value: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the value of an EnvoyFilter's patch. Envoy's messages take much memory: they are
    loaded when the first EnvoyFilter comes."""
    from artemon.translate.envoy_values import problems_of

    return problems_of(apply_to, value)


async def follow(
    store: Store, prefix: str, feed: Feed, context: Context, seen: Callable[[WatchItem], None] | None = None
) -> None:
    """Keep `feed` at the state of the registry under `prefix`, until cancelled; `seen` is told before."""
    async for item in store.watch(prefix):
        if isinstance(item, Stale):
            context.log.warning(
                "registry_silent", prefix=prefix, seconds=round(item.seconds), reason=item.reason
            )
            continue
        if seen:
            seen(item)
        feed.take(item)
        context.health.meet("registry")
