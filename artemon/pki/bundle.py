"""The trust bundle: what everyone in the mesh trusts, as the registry stores it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509

from artemon.pki.certificate import chain_pem, load_certificates
from artemon.pki.errors import CertificateRefused, InvalidSpiffeId
from artemon.pki.spiffe import check_trust_domain

BUNDLE_KEY = "trust/bundle"
"""Under the mesh's prefix."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Roots and published intermediates of one trust domain. sequence: grows with every change."""

    trust_domain: str
    sequence: int
    roots: tuple[x509.Certificate, ...]
    intermediates: tuple[x509.Certificate, ...] = ()

    @property
    def roots_pem(self) -> bytes:
        """The roots as PEM."""
        return chain_pem(self.roots)

    def encode(self) -> bytes:
        """The registry's value: `{"trustDomain","sequence","roots":[PEM],"intermediates":[PEM]}`."""
        return json.dumps(
            {
                "trustDomain": self.trust_domain,
                "sequence": self.sequence,
                "roots": pem_list(self.roots),
                "intermediates": pem_list(self.intermediates),
            }
        ).encode()

    @classmethod
    def decode(cls, value: bytes) -> Bundle:
        """The bundle in a registry value. Raises CertificateRefused, also when it has no root."""
        try:
            content = json.loads(value)
            trust_domain = check_trust_domain(content["trustDomain"])
            roots = tuple(load_certificates(pem.encode())[0] for pem in content["roots"])
            members = tuple(load_certificates(pem.encode())[0] for pem in content["intermediates"])
            sequence = int(content["sequence"])
        except (ValueError, TypeError, KeyError, AttributeError, InvalidSpiffeId) as error:
            raise CertificateRefused(f"the trust bundle cannot be read: {error!r}") from error
        if not roots:
            raise CertificateRefused("the trust bundle has no root")
        return cls(trust_domain, sequence, roots, members)


def pem_list(certificates: Sequence[x509.Certificate]) -> list[str]:
    """One PEM text for each certificate."""
    return [chain_pem([one]).decode() for one in certificates]
