"""The composition of proxyd: identity, view, Envoy, and the streams between them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from cryptography.hazmat.primitives.serialization import Encoding
from envoy.config.core.v3 import base_pb2
from google.protobuf import json_format

from artemon.daemon.address import address_text, split_address
from artemon.daemon.envoy import find, version
from artemon.daemon.files import make_private_dir
from artemon.daemon.http import serve_http
from artemon.daemon.identity import IdentityKeeper
from artemon.daemon.run import Context
from artemon.errors import ArtemonError
from artemon.pki.subject import subject_text
from artemon.xds.resource import Resource
from artemon.xds.types import SECRET
from proxyd import lastgood
from proxyd.admin import Admin
from proxyd.bells import Bells
from proxyd.bootstrap import bootstrap, node, node_id
from proxyd.callers import Callers
from proxyd.control import control
from proxyd.envoylog import EnvoyLog
from proxyd.istio_metrics import IstioMetrics, Own
from proxyd.launch import plain
from proxyd.lock import alone_in
from proxyd.metrics import Metrics
from proxyd.output_certs import output_certs
from proxyd.pod.probers import Probers
from proxyd.probes import Probes
from proxyd.saving import Saving
from proxyd.sds import SecretStreams
from proxyd.secrets import ROOTS, told_lists, told_roots
from proxyd.server import ADS, SDS, serve
from proxyd.settings import ProxydSettings
from proxyd.start import Start
from proxyd.status import drain_routes, status_routes
from proxyd.streams import ConfigurationStreams
from proxyd.supervisor import Supervisor
from proxyd.upgrade import anew
from proxyd.upstream import Upstream, mesh_channel
from proxyd.wellbeing import PROBE, UNIT, Wellbeing

if TYPE_CHECKING:
    from proxyd.dns.names import Names

LEAVE_SECONDS = 0.2
"""How long before Envoy drains the others are told."""
IDENTITY, CONFIGURATION = "identity", "configuration"


async def app(settings: ProxydSettings, context: Context) -> None:
    """The agent of one workload: joins, keeps its certificate, runs Envoy, relays its configuration."""
    run_dir = Path(settings.run_dir)
    for directory in (run_dir, Path(settings.data_dir)):
        make_private_dir(directory)
    binary = find(settings.envoy)
    context.log.info("envoy found", binary=str(binary), version=await asyncio.to_thread(version, binary))
    with alone_in(run_dir):
        async with aiohttp.ClientSession() as http:
            await Agent(settings, context, binary=binary, http=http).run()


class Agent:
    """One proxyd at work."""

    def __init__(
        self, settings: ProxydSettings, context: Context, *, binary: Path, http: aiohttp.ClientSession
    ) -> None:
        self._settings = settings
        self._context = context
        self._log = context.log
        self._metrics = Metrics(context.metrics)
        self._changed, self._moved = Bells(), Bells()
        self._joined = asyncio.Event()
        file, name = Path(settings.data_dir) / lastgood.FILE, node_id(settings, context.node)
        self._view = lastgood.initial_view(settings, lastgood.load(file, name, self._log))
        self._saving = Saving(self._view, file, name, moved=self._moved, log=self._log, metrics=self._metrics)
        workload = settings.workload or settings.service or context.node
        subject = subject_text(workload, settings.labels, settings.cluster_id)
        self._istio = IstioMetrics(Own(settings.namespace, subject))
        options = replace(settings.identity_options, node=context.node, workload=subject)
        self._identity = IdentityKeeper(options, self._log)
        self._configuration = ConfigurationStreams(
            self._view, changed=self._changed, moved=self._moved, log=self._log, metrics=self._metrics
        )
        self._secrets = SecretStreams(
            self._view,
            moved=self._moved,
            certain=lambda: self._upstream.connected,
            log=self._log,
            metrics=self._metrics,
        )
        self._upstream = self._mesh()
        said_by = {PROBE: settings.probe, UNIT: settings.application_unit}
        waits = [who for who, told in said_by.items() if told]
        self._wellbeing = Wellbeing(self._upstream.feel, self._log, waits=waits)
        self._probes = [Probes(settings.probe, self._wellbeing, http)] if settings.probe else []
        admin = f"http://{address_text(settings.loopback, settings.admin_port)}"
        self._admin = Admin(http, admin, "outbound_" if settings.type == "router" else "inbound_")
        self._supervisor = self._supervise(binary)
        self._start = Start(
            self._view,
            self._supervisor,
            own=bootstrap(settings, context.node),
            concurrency=settings.concurrency,
            binary=binary,
            moved=self._moved,
            log=self._log,
        )
        self._metrics.expiry.set_function(self._certificate_seconds)
        self._metrics.age.set_function(self._upstream.silence)

    def _mesh(self) -> Upstream:
        settings = self._settings
        return Upstream(
            settings.pilotd,
            json_format.ParseDict(node(settings, self._context.node), base_pb2.Node()),
            self._view,
            changed=self._changed,
            moved=self._moved,
            log=self._log,
            metrics=self._metrics,
        )

    def _supervise(self, binary: Path) -> Supervisor:
        name = self._context.node
        return Supervisor(
            self._settings,
            plain(bootstrap(self._settings, name), self._settings.concurrency),
            name=name,
            binary=binary,
            admin=self._admin,
            health=self._context.health,
            log=self._log,
            metrics=self._metrics,
            renews=self._context.anew,
        )

    async def run(self) -> None:
        """Until told to stop; then leave the mesh, drain and end Envoy. On failure, and where another proxyd
        takes our place, Envoy goes on."""
        context, settings = self._context, self._settings
        context.health.expect(IDENTITY, "no certificate yet")
        context.health.expect(CONFIGURATION, "no configuration yet, from pilotd or from disk")
        streams, secrets = self._configuration, self._secrets
        services = {
            ADS: {"DeltaAggregatedResources": streams.delta},
            SDS: {"DeltaSecrets": secrets.delta, "StreamSecrets": secrets.sotw},
        }
        probers = Probers(settings.app_probers, settings.app_probers_host or settings.ip_address, self._log)
        routes = status_routes(context.health, context.metrics, self._admin, self._istio)
        routes += [*probers.routes(), *drain_routes(self._wellbeing)]
        async with AsyncExitStack() as stack:
            stack.callback(self._supervisor.give_up)
            await stack.enter_async_context(serve_http(settings.status_address, routes))
            await stack.enter_async_context(serve(Path(settings.run_dir), services))
            await self._serve_programs(stack)
            envoy_log = EnvoyLog(self._supervisor.log_file, self._log.bind(source="envoy"))
            names = await self._answer_names(stack)
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            await stack.enter_async_context(control(Path(settings.run_dir), self._wellbeing, self._admin))
            work = [tasks.create_task(one) for one in (*self._work(names), envoy_log.follow())]
            mesh = tasks.create_task(self._follow_pilotd())
            envoy = tasks.create_task(self._run_envoy())
            again = await anew(context)
            context.health.expect("running", "proxyd is being stopped")
            if not again:
                self._upstream.leave()
                await asyncio.sleep(LEAVE_SECONDS if self._upstream.connected else 0)
            envoy.cancel()
            if not again:
                await self._supervisor.stop()
            mesh.cancel()
            envoy_log.finish()
            for task in work:
                task.cancel()
        await self._saving.save()

    def _work(self, names: Iterable[Names]) -> Iterator[Coroutine[Any, Any, None]]:
        """What goes on until the end."""
        yield from (one.follow() for one in self._probes)
        if self._settings.application_unit:
            from proxyd.unit import UnitState  # D-Bus, which few need

            yield UnitState(self._settings.application_unit, self._wellbeing, self._log).follow()
        yield from (one.follow(self._changed) for one in names)
        yield from output_certs(self._settings, self._identity, self._joined, self._log)
        yield self._keep_identity()
        yield self._saving.follow()
        yield self._keep_trust()
        yield self._tell_ready()
        yield self._secrets.watch_files()
        yield Callers(self._admin.counted, self._upstream.report).run()
        yield self._supervisor.watch(self._on_state)

    async def _run_envoy(self) -> None:
        await self._start.first(self._changed, ask=bool(self._settings.pilotd))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._supervisor.run())
            tasks.create_task(self._start.follow(self._changed))

    async def _serve_programs(self, stack: AsyncExitStack) -> None:
        """The Workload API, where the settings say so."""
        settings = self._settings
        if settings.workload_socket:
            from proxyd.workload_api import Allowed, WorkloadApi

            programs = WorkloadApi(self._identity, self._lists)
            who = Allowed(settings.workload_socket_group, settings.workload_socket_users)
            path, run_dir = Path(settings.workload_socket), Path(settings.run_dir)
            await stack.enter_async_context(programs.serve(path, who, run_dir=run_dir, log=self._log))

    async def _answer_names(self, stack: AsyncExitStack) -> list[Names]:
        """Listen for DNS queries, where the settings say so."""
        settings = self._settings
        if not settings.dns_listen:
            return []
        from proxyd.dns.names import Names
        from proxyd.dns.resolvers import resolvers
        from proxyd.dns.server import DnsServer

        own = split_address(settings.dns_listen)
        upstream = resolvers(settings.dns_upstream, own)
        self._log.info("names of the mesh are answered", address=settings.dns_listen, resolvers=upstream)
        server = DnsServer(upstream, log=self._log, metrics=self._metrics, hold=settings.dns_hold)
        namespace = settings.namespace
        names = Names(self._view, server, namespace=namespace, moved=self._moved, log=self._log)
        names.take()  # what waited while there was no proxyd is answered by what was good before
        await stack.enter_async_context(server.serve(own))
        return [names]

    def _lists(self) -> list[bytes]:
        """The revocation lists that pilotd has told, DER."""
        told = self._view.desired()[SECRET].items.get(ROOTS)
        return [one.public_bytes(Encoding.DER) for one in told_lists(told)] if told else []

    def _on_state(self, state: str | None) -> None:
        if state == "LIVE" and (self._configuration.configured or not self._settings.pilotd):
            self._context.health.meet(CONFIGURATION)

    async def _keep_identity(self) -> None:
        await self._identity.start()
        self._context.health.meet(IDENTITY)
        self._joined.set()
        identity = self._identity.current()
        self._secrets.publish(identity)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._identity.run())
            while True:
                identity = await self._identity.changed(identity)
                self._secrets.publish(identity)

    async def _keep_trust(self) -> None:
        """Whom pilotd says to trust is trusted by us as well, and Envoy is told."""
        await self._joined.wait()
        trusted: Resource | None = None
        with self._changed.listen() as wake:
            while True:
                wake.clear()
                told = self._view.desired()[SECRET].items.get(ROOTS)
                if told is not None and told is not trusted:
                    trusted = told
                    if self._upstream.connected:
                        await self._identity.adopt_roots(told_roots(told))
                    self._secrets.renew()
                await wake.wait()

    async def _tell_ready(self) -> None:
        await self._context.health.wait_ready()
        self._upstream.ready()

    async def _follow_pilotd(self) -> None:
        await self._joined.wait()
        if await self._admin.state() == "LIVE":  # an Envoy from before, which takes requests all the time
            self._upstream.ready()
        await self._upstream.run(
            lambda address: mesh_channel(address, self._identity.current()), self._renewed
        )

    async def _renewed(self) -> None:
        identity = before = self._identity.current()
        while identity.cert_chain_pem == before.cert_chain_pem:  # others to trust count for new connections
            identity = await self._identity.changed(identity)

    def _certificate_seconds(self) -> float:
        try:
            until = self._identity.current().not_after
        except ArtemonError:
            return 0.0
        return (until - datetime.now(UTC)).total_seconds()
