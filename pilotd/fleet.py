"""The connected proxies, and what each of them should have by the newest snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

from artemon.log import Log
from artemon.model.plaintext import PlaintextReport
from artemon.model.proxy import GRPC, Proxy
from artemon.pki.spiffe import SpiffeId
from artemon.snapshot import impact
from artemon.snapshot.changes import ChangeSet
from artemon.snapshot.credentials import grants
from artemon.snapshot.snapshot import Snapshot
from artemon.snapshot.view import ProxyView
from artemon.translate.secrets import secret_resources, trust_resource
from artemon.xds.resource import NO_RESOURCES, Resources
from artemon.xds.session import Session
from artemon.xds.types import SECRET
from pilotd.mailbox import Mailbox
from pilotd.metrics import Metrics
from pilotd.report import Report

SLICE_SECONDS = 0.005
"""How long a publication may hold the loop before it lets streams speak."""


class Revoked(Exception):
    """The identity is banned, or its certificate revoked."""


class TooManyStreams(Exception):
    """One node or one identity has as many streams as it may have."""


class Makes(Protocol):
    """What turns views into resources (`artemon.translate.generators`)."""

    def turn(self) -> None:
        """A new snapshot begins."""

    def translate(self, view: ProxyView, previous: Resources | None = None) -> Resources:
        """All resources of the proxy; what equals `previous` is shared with it."""


@dataclass(frozen=True, slots=True)
class Desired:
    """What a proxy should have. revision: of the registry, all of which is in it. changed: the last revision
    that changed something for this proxy. since: when that was read, by a clock that does not jump.
    trust: how far what is trusted has been read, by view."""

    resources: Resources
    revision: int
    changed: int
    since: float
    trust: Mapping[str, int] = field(default_factory=dict)


class Client:
    """One stream of one proxy. revoked: set when it may go on no longer."""

    def __init__(
        self, proxy: Proxy, identity: SpiffeId | None, session: Session, serial: int | None = None
    ) -> None:
        self.proxy = proxy
        self.identity = identity
        self.session = session
        self.serial = serial
        self.revoked = asyncio.Event()
        self.view: ProxyView | None = None
        self.report: Report | None = None
        self.callers: PlaintextReport | None = None
        self.mailbox: Mailbox[Desired | None] = Mailbox(None)
        """None: nothing is known yet, so nothing is sent."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Streams at once: of one node, of one that is gRPC (which opens a stream for each target), and of one
    identity (whose instances are many)."""

    per_node: int = 4
    per_grpc_node: int = 100
    per_identity: int = 1000


class Fleet:
    """Publishes snapshots to those they concern. `now`: a clock that does not jump, seconds."""

    def __init__(
        self,
        make: Makes,
        log: Log,
        metrics: Metrics,
        *,
        now: Callable[[], float],
        limits: Limits | None = None,
    ) -> None:
        self._make = make
        self._log = log
        self._metrics = metrics
        self._now = now
        self._limits = limits or Limits()
        self._snapshot: Snapshot | None = None
        self._clients: dict[int, Client] = {}

    @property
    def ready(self) -> bool:
        """Whether there is a snapshot to serve from."""
        return self._snapshot is not None

    @property
    def snapshot(self) -> Snapshot | None:
        """What is served from; None before there is anything."""
        return self._snapshot

    @property
    def clients(self) -> tuple[Client, ...]:
        """All streams."""
        return tuple(self._clients.values())

    @contextmanager
    def joined(
        self, proxy: Proxy, identity: SpiffeId | None, session: Session, serial: int | None = None
    ) -> Iterator[Client]:
        """The proxy is connected while the block runs. Raises TooManyStreams, Revoked."""
        limits = self._limits
        same = [client for client in self._clients.values() if client.identity == identity]
        same_node = sum(client.proxy.id == proxy.id for client in same)
        per_node = limits.per_grpc_node if proxy.generator == GRPC else limits.per_node
        if same_node >= per_node or len(same) >= limits.per_identity:
            raise TooManyStreams(f"{same_node} streams of this node, {len(same)} of its identity")
        client = Client(proxy, identity, session, serial)
        if self._snapshot is not None and _refused(self._snapshot, client):
            raise Revoked(f"{identity} or its certificate is revoked")
        self._clients[id(client)] = client
        self._metrics.connected.set(len(self._clients))
        try:
            if self._snapshot is not None:
                self._give(client, self._snapshot, self._now())
            yield client
        finally:
            del self._clients[id(client)]
            client.mailbox.close()
            self._metrics.connected.set(len(self._clients))

    async def publish(self, snapshot: Snapshot, changes: ChangeSet, *, since: float) -> int:
        """Tell every proxy what the snapshot means for it; returns how many had to be looked at.

        since: when the oldest of the changes was read. Streams may speak while this goes on.
        """
        self._snapshot = snapshot
        self._make.turn()
        touched, slice_began = 0, self._now()
        for client in self.clients:
            if _refused(snapshot, client):
                client.revoked.set()
            elif client.view is None or impact.touches(changes, client.view):
                self._give(client, snapshot, since)
                touched += 1
            else:
                self._pass(client, snapshot)
            if self._now() - slice_began > SLICE_SECONDS:
                await asyncio.sleep(0)
                slice_began = self._now()
        return touched

    def _pass(self, client: Client, snapshot: Snapshot) -> None:
        """The snapshot changes nothing for this client."""
        desired = client.mailbox.value
        if desired is not None:
            client.mailbox.put(replace(desired, revision=snapshot.position[1], trust=snapshot.trust_read))

    def _give(self, client: Client, snapshot: Snapshot, since: float) -> None:
        before, revision = client.mailbox.value, snapshot.position[1]
        previous = before.resources if before else NO_RESOURCES
        started = self._now()
        try:
            view = snapshot.view(client.proxy)
            resources = self._make.translate(view, previous)
            if client.identity is not None:
                resources = _with_secrets(resources, snapshot, view, previous)
        except Exception as error:  # noqa: BLE001 - whatever a translator trips over hurts this proxy alone
            self._metrics.translate_failures.inc()
            self._log.error("translation_failed", proxy=client.proxy.id, error=repr(error))
            return
        self._metrics.push_time.observe(self._now() - started)
        client.view = view
        self._tell_rejected(client, previous, resources)
        if before and resources.same_as(previous):
            client.mailbox.put(
                replace(before, resources=resources, revision=revision, trust=snapshot.trust_read)
            )
        else:
            client.mailbox.put(Desired(resources, revision, revision, since, snapshot.trust_read))

    def _tell_rejected(self, client: Client, before: Resources, now: Resources) -> None:
        """Say once which patches are not in what the client should have."""
        if now.rejected is before.rejected:
            return
        for one in set(now.rejected).difference(before.rejected):
            self._metrics.rejected_patches.inc()
            self._log.warning(
                "patch_left_out",
                proxy=client.proxy.id,
                object=one.object,
                patch=one.patch,
                resource=one.resource,
                reason=one.reason,
            )


def _refused(snapshot: Snapshot, client: Client) -> bool:
    who = client.identity
    return who is not None and snapshot.config.trust.refuses(str(who), client.serial)


def _with_secrets(
    resources: Resources, snapshot: Snapshot, view: ProxyView, previous: Resources
) -> Resources:
    """With the Secrets that this very client may have: decided each time, shared with nobody. Whom everyone
    trusts is the same for all."""
    config = snapshot.config
    granted = secret_resources(grants(config.secrets, view, config.edge.grants))
    trusted = snapshot.memo.get(trust_resource, config.trust)
    if trusted is not None:
        granted[trusted.name] = trusted
    states = {**resources, SECRET: previous[SECRET].successor(granted)}
    return Resources(states, rejected=resources.rejected)
