"""Certificates that citadeld asks itself for, on behalf of a service account that cannot ask."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from artemon.pki.csr import make_csr
from artemon.pki.keys import generate_key, private_pem
from artemon.pki.spiffe import SpiffeId
from citadeld.attestation import BY_EVIDENCE
from citadeld.clusters.wanted import Place
from citadeld.decision import Caller, Denied, Grounds, Reason
from citadeld.issuer import Issuer, Told
from citadeld.revoker import Known

ATTESTOR = "cluster"


@dataclass(frozen=True, slots=True)
class Certifier:
    """Issues them through the same books as everyone's. roots: PEM of the moment, not sent in chains."""

    issuer: Issuer
    trust_domain: str
    lifetime: timedelta
    known: Known
    roots: Callable[[], bytes]

    def is_revoked(self, place: Place, serial: str) -> bool:
        """Whether a certificate, or its identity, is revoked."""
        return self.known.refuses(SpiffeId(self.trust_domain, *place), serial)

    async def issue(self, place: Place, cluster: str) -> tuple[bytes, bytes]:
        """Chain without the root, and key, PEM. Raises Denied (for a banned identity, among others),
        StoreError, AuditUnavailable, CertificateRefused."""
        identity = SpiffeId(self.trust_domain, *place)
        if identity.is_system:
            raise Denied(Reason.NOT_ALLOWED, "daemons of the mesh have no certificates in Secrets")
        facts = {"cluster": (cluster,), "namespace": (place[0],), "serviceAccount": (place[1],)}
        # renewed by another Secret alone: whoever has read one cannot go on with it for ever
        caller = Caller("certificate", "own", identity, attested=Grounds(ATTESTOR, BY_EVIDENCE, facts))
        key = await asyncio.to_thread(generate_key)
        told = Told(node=f"secret istio.{place[1]} in {cluster}")
        chain = await self.issuer.issue(caller, make_csr(key, identity), lifetime=self.lifetime, told=told)
        roots = self.roots().decode()
        kept = [pem for pem in chain if pem.strip() not in roots]
        return "".join(kept).encode(), private_pem(key)
