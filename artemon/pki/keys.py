"""Keys: made, read, written as PEM, and judged."""

from __future__ import annotations

import math
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from artemon.pki.errors import KeyRefused

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
KeyType = Literal["p256", "p384", "rsa2048"]

MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192
_CURVES = ("secp256r1", "secp384r1")
_FERMAT_STEPS = 100


def generate_key(kind: KeyType = "p256") -> PrivateKey:
    """A new private key from the system's entropy."""
    if kind == "rsa2048":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1() if kind == "p256" else ec.SECP384R1())


def private_pem(key: PrivateKey, passphrase: bytes = b"") -> bytes:
    """The key as PKCS#8, for a file that only its owner can read; encrypted where there is a passphrase."""
    how: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    )
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)


def is_encrypted(pem: bytes) -> bool:
    """Whether a private key is encrypted (PKCS#8, or as OpenSSL did it before)."""
    return b"ENCRYPTED" in pem


def load_private_key(pem: bytes, passphrase: bytes = b"") -> PrivateKey:
    """The private key in `pem`. Raises KeyRefused."""
    try:
        key = serialization.load_pem_private_key(pem, password=passphrase or None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        what = "another passphrase" if passphrase else "it must be one unencrypted PEM key"
        raise KeyRefused(f"the private key cannot be read: {what}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise KeyRefused("the private key must be P-256, P-384 or RSA")
    check_public_key(key.public_key())
    return key


def spki_sha256(key: PublicKey) -> str:
    """The fingerprint of a public key: SHA-256 of its SubjectPublicKeyInfo, in hex."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(
        key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return digest.finalize().hex()


def check_public_key(key: object) -> PublicKey:
    """`key`, if it is strong and of a type that Envoy accepts. Raises KeyRefused."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.name not in _CURVES:
            raise KeyRefused(f"the curve {key.curve.name} is not supported; use P-256 or P-384")
        return key
    if not isinstance(key, rsa.RSAPublicKey):
        raise KeyRefused("the key type is not supported; use ECDSA P-256 or P-384, or RSA")
    if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        raise KeyRefused(f"an RSA key has {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, not {key.key_size}")
    numbers = key.public_numbers()
    if numbers.e != 65537:
        raise KeyRefused("an RSA key must have the public exponent 65537")
    if _has_close_primes(numbers.n):
        raise KeyRefused("the RSA key can be factored: its primes are too close together")
    if _is_roca(numbers.n):
        raise KeyRefused("the RSA key has the structure of a known weak generator (ROCA)")
    return key


def _has_close_primes(n: int) -> bool:
    """Whether Fermat's method factors `n` within a few steps."""
    if n % 2 == 0:
        return True
    a = math.isqrt(n - 1) + 1
    for _ in range(_FERMAT_STEPS):
        b2 = a * a - n
        if math.isqrt(b2) ** 2 == b2:
            return True
        a += 1
    return False


def _is_roca(n: int) -> bool:
    """Whether `n` lies in the subgroup of 65537 modulo each small prime (CVE-2017-15361)."""
    return all(n % prime in group for prime, group in _ROCA_GROUPS)


def _powers(prime: int) -> frozenset[int]:
    found, power = set(), 1
    while power not in found:
        found.add(power)
        power = power * 65537 % prime
    return frozenset(found)


_ROCA_GROUPS = tuple(
    (p, _powers(p)) for p in range(3, 168) if all(p % d for d in range(2, math.isqrt(p) + 1))
)
