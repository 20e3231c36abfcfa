"""Several citadelds under one root: who has the root's key signs the intermediates of those that have not.

`trust/replicas/<node>` (lease) says that a replica is there, which intermediates it has, and what it asks
for; `trust/granted/<SHA-256 of the key>` is the answer. Keys never leave the replica that made them.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from cryptography import x509

from artemon.daemon.audit import AuditLog
from artemon.errors import ArtemonError, LeaseGone, StoreError
from artemon.log import Log
from artemon.pki.certificate import Authority, chain_pem, fingerprint, load_certificates
from artemon.pki.errors import CertificateRefused
from artemon.pki.keys import spki_sha256
from artemon.pki.request import IntermediateRequest, judge
from artemon.store.api import ABSENT, Lease, Store
from citadeld.authority import KeyRoom
from citadeld.rooms import Rooms

REPLICAS, GRANTED = "trust/replicas/", "trust/granted/"
"""Under the mesh's prefix."""
TTL = 30.0


@dataclass(frozen=True, slots=True)
class Fellow:
    """Another replica, as it says. intermediates: SHA-256 of its certificates. roots: of those that it can
    issue under."""

    node: str
    intermediates: frozenset[str]
    roots: frozenset[str]
    request: IntermediateRequest | None

    @classmethod
    def decode(cls, node: str, value: bytes) -> Fellow | None:
        """From the registry; None when it cannot be read."""
        try:
            fields: dict[str, Any] = json.loads(value)
            wish = fields.get("request")
            request = IntermediateRequest.decode(json.dumps(wish).encode()) if wish else None
            have, roots = (frozenset(map(str, fields[name])) for name in ("intermediates", "roots"))
            return cls(node, have, roots, request)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError, CertificateRefused):
            return None

    def has(self, root: str) -> bool:
        """Whether it can issue under this root."""
        return root in self.roots


class Fellows:
    """This replica among the others. node: its name, to which what tells two on one machine apart is
    added."""

    def __init__(
        self, store: Store, prefix: str, node: str, *, rooms: Rooms, audit: AuditLog, log: Log
    ) -> None:
        self._store, self._prefix, self._node = store, prefix, f"{node}-{secrets.token_hex(3)}"
        self._rooms, self._audit, self._log = rooms, audit, log
        self._lease: Lease | None = None
        self._asked: tuple[tuple[str, str, str], IntermediateRequest] | None = None
        self._told = b""

    async def present(self) -> list[Fellow]:
        """The others that are there now. Raises StoreError."""
        prefix = self._prefix + REPLICAS
        entries = (await self._store.list(prefix)).entries
        named = ((entry.key.removeprefix(prefix), entry.value) for entry in entries)
        return [one for node, value in named if node != self._node and (one := Fellow.decode(node, value))]

    async def work(self, roots: Sequence[x509.Certificate], wanted: str, by: Authority) -> bool:
        """Say that we are there; ask for an intermediate under the root `wanted` ("" for none) where only
        others can sign it, and take it when it is granted; grant what others ask for. roots: those that
        count. Whether there is a new intermediate here. Raises StoreError, ArtemonError."""
        request, taken = None, False
        room = await asyncio.to_thread(self._asking, wanted) if wanted else None
        if room is not None:
            request = await self._request(room, wanted, by)
            taken = await self._take(room, request, wanted)
        await self._tell(None if taken else request)
        for fellow in await self.present():
            if fellow.request is not None:
                await self._grant(fellow, fellow.request, roots)
        return taken

    async def _request(self, room: KeyRoom, root: str, by: Authority) -> IntermediateRequest:
        """The same as long as it is of use."""
        about = (str(room.directory), root, fingerprint(by.certificate))
        if self._asked is None or self._asked[0] != about:
            self._asked = about, await asyncio.to_thread(room.ask, root, by)
        return self._asked[1]

    def _asking(self, root: str) -> KeyRoom | None:
        """The room of a root whose key is elsewhere, when it has no intermediate or an old one."""
        known = self._rooms.of(root)
        if known is None:
            return self._rooms.new_of(root)
        return known if known.authority.authority() is None and known.is_half_over() else None

    async def _take(self, room: KeyRoom, request: IntermediateRequest, root: str) -> bool:
        name = spki_sha256(x509.load_pem_x509_csr(request.csr).public_key())  # type: ignore[arg-type]
        entry = await self._store.get(f"{self._prefix}{GRANTED}{name}")
        if entry is None:
            return False
        chain = load_certificates(json.loads(entry.value)["chain"].encode())
        await asyncio.to_thread(room.adopt, chain, root)
        self._rooms.settle(room, root)
        self._asked = None
        await self._store.delete(entry.key)
        self._log.info("intermediate_granted", intermediate=fingerprint(chain[0]), root=root[:16])
        return True

    async def _tell(self, request: IntermediateRequest | None) -> None:
        have = await asyncio.to_thread(self._rooms.authorities)
        told = {
            "intermediates": sorted({fingerprint(one.certificate) for one in have}),
            "roots": sorted({fingerprint(one.root) for one in have}),
            "request": json.loads(request.encode()) if request else None,
        }
        value = json.dumps(told).encode()
        if self._lease is not None and not self._lease.lost.is_set() and value == self._told:
            return
        if self._lease is None or self._lease.lost.is_set():
            self._lease = await self._store.lease(TTL)
        try:
            await self._store.put(f"{self._prefix}{REPLICAS}{self._node}", value, lease=self._lease.id)
            self._told = value
        except LeaseGone:
            self._lease = None

    async def _grant(
        self, fellow: Fellow, request: IntermediateRequest, roots: Sequence[x509.Certificate]
    ) -> None:
        room = self._rooms.of(request.root)
        above = None if room is None else await asyncio.to_thread(room.authority.authority)
        if room is None or above is None:
            return
        try:
            key = judge(request, roots, now=room.now())
            name = f"{self._prefix}{GRANTED}{spki_sha256(key)}"
            if await self._store.get(name) is not None:
                return
            made = await asyncio.to_thread(room.sign_intermediate, key, above)
        except ArtemonError as error:
            self._log.error("intermediate_refused", replica=fellow.node, reason=error)
            return
        await self._audit.append(
            "intermediate", replica=fellow.node, certificate=fingerprint(made), root=request.root
        )
        chain = chain_pem([made, above.certificate, *above.issuers]).decode()
        await self._store.put(name, json.dumps({"chain": chain}).encode(), if_version=ABSENT)

    async def leave(self) -> None:
        """Say that we are there no longer."""
        if self._lease is not None and not self._lease.lost.is_set():
            with suppress(StoreError):
                await self._lease.revoke()
