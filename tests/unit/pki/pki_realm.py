"""A small trust domain: root, intermediate, and what they sign."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509

from artemon.pki.certificate import Authority, Leaf, make_intermediate, make_leaf, make_root, serial_number
from artemon.pki.keys import PrivateKey, generate_key
from artemon.pki.spiffe import SpiffeId

NOW = datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True)
class Realm:
    """A trust domain with its authorities."""

    trust_domain: str
    root: Authority
    authority: Authority
    now: datetime = NOW

    def leaf(
        self, key: PrivateKey, *, hours: float = 1, names: tuple[str, ...] = (), account: str = "cart"
    ) -> x509.Certificate:
        identity = SpiffeId(self.trust_domain, "shop", account)
        leaf = Leaf(identity, key.public_key(), timedelta(hours=hours), names)
        return make_leaf(leaf, self.authority, serial=serial_number(b"\x55" * 20), now=self.now)


def make_realm(
    trust_domain: str = "cluster.local", *, root_hours: float = 1000, ca_hours: float = 100
) -> Realm:
    key, ca_key = generate_key("p384"), generate_key()
    certificate = make_root(
        key, trust_domain, serial=serial_number(b"r" * 20), now=NOW, lifetime=timedelta(hours=root_hours)
    )
    root = Authority(certificate, key)
    intermediate = make_intermediate(
        ca_key.public_key(),
        root,
        trust_domain,
        serial=serial_number(b"i" * 20),
        now=NOW,
        lifetime=timedelta(hours=ca_hours),
    )
    return Realm(trust_domain, root, Authority(intermediate, ca_key, (certificate,)))
