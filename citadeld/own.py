"""citadeld's own certificate: issued by itself, through the same books as everyone's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from artemon.daemon.identity_files import Identity
from artemon.errors import ArtemonError
from artemon.pki.bundle import Bundle
from artemon.pki.certificate import Authority, chain_pem, load_certificates, validity_of
from artemon.pki.csr import make_csr
from artemon.pki.keys import generate_key, private_pem
from artemon.pki.spiffe import SYSTEM_NAMESPACE, SpiffeId
from citadeld.decision import Caller
from citadeld.issuer import Issuer

LIFETIME = timedelta(hours=24)


@dataclass(slots=True)
class Current:
    """The identity and the bundle of the moment, as the listeners use them."""

    identity: Identity | None = None
    bundle: Bundle | None = None

    def the_identity(self) -> Identity:
        """The identity. Raises ArtemonError before there is one."""
        if self.identity is None:
            raise ArtemonError("citadeld has no certificate of its own yet")
        return self.identity

    def the_bundle(self) -> Bundle:
        """The bundle. Raises ArtemonError before there is one."""
        if self.bundle is None:
            raise ArtemonError("citadeld has no trust bundle yet")
        return self.bundle


async def certify_oneself(issuer: Issuer, bundle: Bundle) -> Identity:
    """A new identity for this process, kept in memory only. Raises what `Issuer.issue` raises."""
    identity = SpiffeId(bundle.trust_domain, SYSTEM_NAMESPACE, "citadeld")
    key = generate_key()
    caller = Caller("certificate", "own", identity)
    chain = await issuer.issue(caller, make_csr(key, identity), lifetime=LIFETIME)
    certificates = [load_certificates(pem.encode())[0] for pem in chain]
    kept = [one for one in certificates if one not in bundle.roots]
    validity = validity_of(kept[0])
    return Identity(
        identity, chain_pem(kept), private_pem(key), bundle.roots_pem, validity.not_before, validity.not_after
    )


def is_half_over(identity: Identity, bundle: Bundle, authority: Authority) -> bool:
    """Whether the identity should be replaced: half of its life is over, the roots are others, it is not by
    `authority`, or it was made by a clock that was ahead and is not valid yet."""
    middle = identity.not_before + (identity.not_after - identity.not_before) / 2
    now = datetime.now(UTC)
    issuer = load_certificates(identity.cert_chain_pem)[0].issuer
    is_ours = identity.roots_pem == bundle.roots_pem and issuer == authority.certificate.subject
    return not (is_ours and identity.not_before <= now < middle)
