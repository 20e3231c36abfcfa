"""The attestors that know identities by themselves: a join token (`token:`), and a certificate of the mesh
that is still good (`certificate:`), for its renewal."""

from __future__ import annotations

from dataclasses import dataclass

from artemon.pki.spiffe import SpiffeId
from citadeld.attestors.api import Attested, Attestor, AttestorSettings, Evidence, Surroundings
from citadeld.decision import Denied, Method, Reason
from citadeld.tokens import Tokens


@dataclass(frozen=True, slots=True)
class JoinToken:
    """Secrets that citadeld itself gave out (`citadeld.tokens`). They have no dot, JSON Web Tokens two."""

    tokens: Tokens
    trust_domain: str
    doors: tuple[Method, ...] = ("token",)
    roots: bytes = b""

    def takes(self, evidence: Evidence) -> bool:
        return "." not in evidence.bearer

    async def attest(self, evidence: Evidence) -> Attested:
        claim = await self.tokens.claim(evidence.bearer)
        token = claim.token
        identity = SpiffeId(self.trust_domain, token.namespace, token.service_account)
        return Attested(token.id, identity, claim)

    async def run(self) -> None:
        return


@dataclass(frozen=True, slots=True)
class CurrentCertificate:
    """The certificate that the caller has now; the listener has verified it, and that it is not revoked."""

    doors: tuple[Method, ...] = ("certificate",)
    roots: bytes = b""

    def takes(self, evidence: Evidence) -> bool:
        return True

    async def attest(self, evidence: Evidence) -> Attested:
        if evidence.identity is None:
            raise Denied(Reason.NOT_AUTHENTICATED, "a client certificate of the mesh is needed")
        return Attested(identity=evidence.identity)

    async def run(self) -> None:
        return


class _Token:
    settings = AttestorSettings

    def open(self, address: str, settings: AttestorSettings, around: Surroundings) -> Attestor:
        return JoinToken(around.tokens, around.trust_domain)


class _Certificate:
    settings = AttestorSettings

    def open(self, address: str, settings: AttestorSettings, around: Surroundings) -> Attestor:
        return CurrentCertificate()


token = _Token()
certificate = _Certificate()
