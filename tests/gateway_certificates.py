"""Certificates as sites have them: a root, an intermediate, servers and clients."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PEM = serialization.Encoding.PEM


def pem_chain(certificates: tuple[x509.Certificate, ...]) -> bytes:
    return b"".join(one.public_bytes(PEM) for one in certificates)


@dataclass(frozen=True)
class Issued:
    """A certificate with its key, and who signed it."""

    own: tuple[x509.Certificate, ...]
    issuers: tuple[x509.Certificate, ...]
    key: bytes

    @property
    def chain(self) -> bytes:
        return pem_chain(self.own + self.issuers)

    def save(self, folder: Path) -> tuple[Path, Path]:
        """The files of chain and key."""
        folder.mkdir(parents=True, exist_ok=True)
        chain, key = folder / "chain.pem", folder / "key.pem"
        chain.write_bytes(self.chain)
        key.write_bytes(self.key)
        key.chmod(0o600)
        return chain, key


class Certificates:
    """An authority with an intermediate."""

    def __init__(self, name: str = "Site") -> None:
        self._root_key, self._key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        self.root = _sign(f"{name} root", self._root_key, f"{name} root", self._root_key, authority=True)
        self._intermediate = _sign(f"{name} CA", self._key, f"{name} root", self._root_key, authority=True)
        self._name = f"{name} CA"

    @property
    def roots(self) -> bytes:
        return pem_chain((self.root,))

    def issue(self, host: str, *, ends: timedelta = timedelta(hours=1)) -> Issued:
        """A certificate for servers and clients called `host`, a DNS name or a SPIFFE id."""
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = _sign(host, key, self._name, self._key, ends=ends)
        pem = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return Issued((leaf,), (self._intermediate,), pem)


def _sign(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    signer: ec.EllipticCurvePrivateKey,
    *,
    authority: bool = False,
    ends: timedelta = timedelta(hours=1),
) -> x509.Certificate:
    now = datetime.now(UTC)
    names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, one)]) for one in (subject, issuer)]
    builder = x509.CertificateBuilder().subject_name(names[0]).issuer_name(names[1])
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=2)).not_valid_after(now + ends)
    builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    if not authority:
        kind = x509.UniformResourceIdentifier if "://" in subject else x509.DNSName
        builder = builder.add_extension(x509.SubjectAlternativeName([kind(subject)]), critical=False)
    return builder.sign(signer, hashes.SHA256())
