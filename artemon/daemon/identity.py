"""Having an identity: join once with a token, renew at half life, serve the newest to everyone who asks.

keeper = IdentityKeeper(options, log)
await keeper.start()                 # from disk, or by joining; returns with an identity
tasks.create_task(keeper.run())      # renews and refreshes roots until cancelled
credentials = grpc_server_credentials(keeper.current)
newer = await keeper.changed(keeper.current())
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

import grpc

from artemon.backoff import Backoff
from artemon.daemon.identity_client import (
    CitadelRefused,
    CitadelUnreachable,
    Signed,
    ask_for_certificate,
    ask_for_roots,
    pinned_roots,
)
from artemon.daemon.identity_files import (
    Identity,
    is_under_first_root,
    load_identity,
    load_roots,
    make_identity,
    save_identity,
)
from artemon.daemon.identity_options import IdentityOptions, IdentitySettings
from artemon.daemon.identity_tls import grpc_channel_credentials
from artemon.daemon.joining import ask_by_socket, is_socket, read_proof
from artemon.errors import ArtemonError
from artemon.log import Log
from artemon.pki.certificate import load_certificates
from artemon.pki.csr import make_csr
from artemon.pki.errors import CertificateRefused, KeyRefused
from artemon.pki.keys import generate_key, private_pem
from artemon.pki.renewal import renewal_time
from artemon.store.clock import now as boottime

ROOTS_SECONDS = 60.0
EARLY_SECONDS = 30.0
NAP_SECONDS = 30.0

T = TypeVar("T")

__all__ = ["Identity", "IdentityKeeper", "IdentityOptions", "IdentitySettings"]


class IdentityKeeper:
    """Holds one identity and keeps it fresh; the old one is served until the new one is on disk."""

    def __init__(
        self,
        options: IdentityOptions,
        log: Log,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._options = options
        self._log = log.bind(identity=str(options.spiffe_id))
        self._now = now
        self._jitter = jitter
        self._identity: Identity | None = None
        self._sequence = 0
        self._saving = asyncio.Lock()
        self._changed = asyncio.Event()

    def current(self) -> Identity:
        """The newest identity; safe from any thread. Raises ArtemonError before `start()` has returned."""
        if self._identity is None:
            raise ArtemonError("there is no identity yet")
        return self._identity

    async def changed(self, since: Identity) -> Identity:
        """The newest identity, as soon as it is another than `since`."""
        while self.current() is since:
            await self._changed.wait()
        return self.current()

    async def start(self) -> None:
        """Return with an identity: the one on disk while it is valid (nobody is asked), else by joining.

        Tries until it works. Raises ArtemonError when trying again cannot help: the token is missing or
        refused, the server is not the pinned one, the key file is readable by others.
        """
        try:
            found = load_identity(self._options.directory, self._options.spiffe_id, self._now())
        except (CertificateRefused, KeyRefused) as error:
            self._log.warning("identity_unusable", reason=error)
            found = None
        if found is not None:
            self._publish(found)
            self._log.info("identity_loaded", until=found.not_after.isoformat())
            return
        backoff = Backoff(first=0.2, most=15)
        while True:
            try:
                await self._join()
                return
            except CitadelUnreachable as error:
                self._log.warning("join_postponed", reason=error)
                await asyncio.sleep(backoff.next(self._jitter()))

    async def run(self) -> None:
        """Renew at half life and refresh the roots, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_certificate(), name="identity-renewal")
            tasks.create_task(self._keep_roots(), name="identity-roots")

    async def _keep_certificate(self) -> None:
        while True:
            identity = self.current()
            now = self._now()
            due = renewal_time(identity.validity, now=now, jitter=self._jitter())
            await self._until_due((due - now).total_seconds())
            identity = self.current()
            lifetime = (identity.not_after - now).total_seconds()
            backoff = Backoff(first=1, most=min(60.0, max(1.0, lifetime / 20)))
            while self.current().cert_chain_pem == identity.cert_chain_pem:
                try:
                    await self._renew_or_join()
                except (ArtemonError, OSError) as error:
                    left = (identity.not_after - self._now()).total_seconds()
                    self._log.warning("renewal_failed", reason=error, seconds_left=int(left))
                    await asyncio.sleep(backoff.next(self._jitter()))

    async def _until_due(self, seconds: float) -> None:
        """Sleep so long, but less when the certificate is not under the root that is used now: then a random
        part of what is usual, so that not everyone comes at once."""
        end = boottime() + seconds
        while (left := end - boottime()) > 0:
            identity = self.current()
            if not is_under_first_root(identity):
                await _sleep(min(left, EARLY_SECONDS) * self._jitter())
                return
            async with asyncio.TaskGroup() as tasks:
                changed = tasks.create_task(self.changed(identity))
                slept = tasks.create_task(_sleep(left))
                await asyncio.wait({changed, slept}, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                slept.cancel()

    async def _keep_roots(self) -> None:
        while True:
            await _sleep(ROOTS_SECONDS * (0.9 + 0.2 * self._jitter()))
            try:
                await self._refresh_roots()
            except (ArtemonError, OSError) as error:
                self._log.warning("roots_not_refreshed", reason=error)

    async def _renew_or_join(self) -> None:
        if not self.current().validity.contains(self._now()):
            await self._join()
            return
        credentials = grpc_channel_credentials(self.current())
        try:
            await self._obtain(self._options.citadeld, self._asking(lambda _: _ready(credentials)))
        except CitadelRefused as error:
            if not self._options.evidence.is_there:
                raise
            self._log.info("attesting_anew", reason=error)
            await self._join()
            return
        self._log.info("identity_renewed", until=self.current().not_after.isoformat())

    async def _join(self) -> None:
        proof = await asyncio.to_thread(read_proof, self._options)

        async def credentials(address: str) -> grpc.ChannelCredentials:
            return proof.credentials(await self._joining_roots(address))

        await self._obtain(proof.addresses, self._asking(credentials, proof.token))
        self._log.info("joined", until=self.current().not_after.isoformat())

    async def _joining_roots(self, address: str) -> bytes:
        known = load_roots(self._options.directory)
        if known is not None:
            return known
        if not self._options.ca_pin:
            raise CitadelRefused(
                "whom to trust is not known: set ca_pin to the root certificate or its SHA-256"
            )
        domain = self._options.spiffe_id.trust_domain
        return await pinned_roots(address, self._options.ca_pin, trust_domain=domain, now=self._now())

    def _asking(
        self, credentials: Callable[[str], Awaitable[grpc.ChannelCredentials]], token: str = ""
    ) -> Callable[[str, bytes], Awaitable[Signed]]:
        told = {"node": self._options.node, "workload": self._options.workload}
        told = {name: value for name, value in told.items() if value}

        async def ask(address: str, csr: bytes) -> Signed:
            if is_socket(address):
                return await ask_by_socket(address, csr=csr, told=told)
            known = await credentials(address)
            return await ask_for_certificate(address, known, csr=csr, token=token, told=told)

        return ask

    async def _obtain(
        self, addresses: tuple[str, ...], ask: Callable[[str, bytes], Awaitable[Signed]]
    ) -> None:
        trusted = self._roots()
        key = await asyncio.to_thread(generate_key, self._options.key_type)
        csr = make_csr(key, self._options.spiffe_id)
        signed = await _first_answer(addresses, lambda address: ask(address, csr))
        async with self._saving:
            adopted = self._roots() if self._roots() != trusted else b""  # told since we asked
            identity = make_identity(
                self._options.spiffe_id,
                chain_pem=signed.chain_pem,
                key_pem=private_pem(key),
                roots_pem=adopted or signed.roots_pem,
                now=self._now(),
            )
            await self._keep(identity)

    async def _refresh_roots(self) -> None:
        credentials = grpc_channel_credentials(self.current())
        sequence, roots = await _first_answer(
            self._options.citadeld, lambda address: ask_for_roots(address, credentials)
        )
        identity = self.current()
        if sequence < self._sequence or roots == identity.roots_pem:
            return
        self._sequence = sequence
        await self.adopt_roots(roots)

    async def adopt_roots(self, roots_pem: bytes) -> None:
        """Trust exactly these roots (PEM), because the control plane says so. Raises CertificateRefused.

        Whoever is not certified under the first of them renews soon.
        """
        count = len(load_certificates(roots_pem))
        async with self._saving:
            identity = self.current()
            if roots_pem == identity.roots_pem:
                return
            await self._keep(replace(identity, roots_pem=roots_pem))
        self._log.info("roots_changed", count=count)

    def _roots(self) -> bytes:
        return self._identity.roots_pem if self._identity else b""

    async def _keep(self, identity: Identity) -> None:
        """On disk first, then for everyone."""
        await asyncio.to_thread(save_identity, self._options.directory, identity)
        self._publish(identity)

    def _publish(self, identity: Identity) -> None:
        self._identity = identity
        self._changed.set()
        self._changed = asyncio.Event()


async def _first_answer(addresses: tuple[str, ...], ask: Callable[[str], Awaitable[T]]) -> T:
    """The answer of the first address that can be reached. Raises CitadelUnreachable when none can."""
    reasons = []
    for address in addresses:
        try:
            return await ask(address)
        except CitadelUnreachable as error:
            reasons.append(f"{address}: {error}")
    raise CitadelUnreachable("; ".join(reasons) or "no address of citadeld is set")


async def _ready(credentials: grpc.ChannelCredentials) -> grpc.ChannelCredentials:
    return credentials


async def _sleep(seconds: float) -> None:
    """Sleep by a clock that neither jumps nor stops in suspend."""
    end = boottime() + seconds
    while (left := end - boottime()) > 0:  # noqa: ASYNC110 - there is nothing else to wait for than the clock
        await asyncio.sleep(min(left, NAP_SECONDS))
