"""From the evidence of a call to the identity that a certificate may be for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from artemon.daemon.signers import Forged
from artemon.log import printable
from artemon.pki.csr import requested_identity
from artemon.pki.spiffe import SpiffeId
from artemon.store.api import Store
from citadeld.attestors.api import Attested, Evidence
from citadeld.attestors.open import Opened
from citadeld.decision import Caller, Denied, Grounds, Method, Reason
from citadeld.grants import Grants
from citadeld.issuer import counting_refusals, grounds_of
from citadeld.limits import Limiter
from citadeld.metrics import Metrics
from citadeld.tokens import Claim

MAX_NAMED = 128
BY_EVIDENCE = ""
"""In place of an IdentityGrant: the attestor itself gives the identity, while its evidence holds."""


@dataclass(frozen=True, slots=True)
class Attestation:
    """Judges callers who want a certificate. attestors: those that are set, in order."""

    attestors: Sequence[Opened]
    grants: Grants
    store: Store
    prefix: str
    trust_domain: str
    identities: Limiter
    metrics: Metrics

    def looks_at(self, door: Method) -> bool:
        """Whether any attestor does."""
        return any(door in one.attestor.doors for one in self.attestors)

    @property
    def roots(self) -> bytes:
        """Whatever client certificates at the machines' listener may lead to, PEM."""
        return b"".join(one.attestor.roots for one in self.attestors)

    async def subject(self, caller: Caller, evidence: Evidence, csr: bytes) -> tuple[Caller, Claim | None]:
        """The caller with the identity that its certificate is for, and what is used up for it.

        Nothing of `csr` is looked at before the evidence is judged. Raises Denied, StoreError.
        """
        try:
            found, by = await self._attest(evidence)
            if found.identity is not None:
                caller = replace(caller, identity=found.identity, token_id=printable(found.name)[:MAX_NAMED])
                if evidence.door == "certificate":
                    caller = await self._renewing(caller)
                return caller, found.claim
            wanted = self._wanted(csr)
            if wanted in found.identities:
                grounds = Grounds(by.name, BY_EVIDENCE, found.facts)
            else:
                grounds = self.grants.find(wanted, attestor=by.name, facts=found.facts)
        except Denied as error:
            if error.reason in {Reason.NOT_AUTHENTICATED, Reason.NOT_ALLOWED}:
                self.metrics.count("authentication_failure")
            raise
        self._not_too_often(wanted)
        name = printable(found.name)[:MAX_NAMED]
        return replace(caller, identity=wanted, token_id=name, attested=grounds), None

    async def _attest(self, evidence: Evidence) -> tuple[Attested, Opened]:
        for one in self.attestors:
            if evidence.door in one.attestor.doors and one.attestor.takes(evidence):
                return await one.attestor.attest(evidence), one
        raise Denied(Reason.NOT_AUTHENTICATED, _NOBODY[evidence.door])

    async def _renewing(self, caller: Caller) -> Caller:
        """What was given for facts is given again only while an IdentityGrant still says so."""
        assert caller.identity is not None
        self._not_too_often(caller.identity)
        try:
            entry = await self.store.get(f"{self.prefix}trust/issued/{caller.serial}")
        except Forged as error:
            raise Denied(Reason.NOT_ALLOWED, f"the record of the certificate {error}: attest anew") from error
        before = grounds_of(entry.value) if entry else None
        if before is None:
            return caller
        if before.grant == BY_EVIDENCE:
            text = f"{caller.identity} was given for what {before.attestor} saw then: attest anew"
            raise Denied(Reason.NOT_ALLOWED, text)
        grounds = self.grants.find(caller.identity, attestor=before.attestor, facts=before.facts)
        return replace(caller, attested=Grounds(before.attestor, grounds.grant, before.facts))

    def _not_too_often(self, identity: SpiffeId) -> None:
        if not self.identities.allow(str(identity), now=time.monotonic()):
            self.metrics.count("rate_limited")
            raise Denied(Reason.TOO_MANY, "this identity asks for certificates too often")

    def _wanted(self, csr: bytes) -> SpiffeId:
        with counting_refusals(self.metrics):
            wanted = requested_identity(csr)
        if wanted.trust_domain != self.trust_domain:
            raise Denied(Reason.NOT_ALLOWED, f"{wanted} is not of {self.trust_domain}")
        if wanted.is_system and wanted.service_account == "citadeld":
            raise Denied(Reason.NOT_ALLOWED, "citadeld certifies itself")
        return wanted


_NOBODY = {
    "certificate": "certificates are not renewed here: there is no attestor `certificate:`",
    "token": "the join token is not valid, or the token is of an issuer that is not known here",
    "machine": "the client certificate leads to no root of an attestor `x509:`",
    "peer": "there is no attestor `unix:` here",
}
