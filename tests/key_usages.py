"""What the key of a certificate may be used for."""

from __future__ import annotations

from cryptography import x509

USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def key_usage(*wanted: str) -> x509.KeyUsage:
    """The key usages of these names and no other."""
    return x509.KeyUsage(**{name: name in wanted for name in USAGES})
