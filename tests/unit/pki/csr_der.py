"""Certificate requests that no library would make: PKCS#10 put together byte by byte."""

from __future__ import annotations

import base64

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
EXTENSION_REQUEST = bytes.fromhex("06092a864886f70d01090e")
SUBJECT_ALT_NAME = bytes.fromhex("0603551d11")


def tlv(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    if len(body) < 128:
        return bytes([tag, len(body)]) + body
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(size)]) + size + body


def uri_extension(*uris: bytes) -> bytes:
    return tlv(0x30, SUBJECT_ALT_NAME, tlv(0x04, tlv(0x30, *(tlv(0x86, uri) for uri in uris))))


def extension_request(*extensions: bytes) -> bytes:
    return tlv(0x30, EXTENSION_REQUEST, tlv(0x31, tlv(0x30, *extensions)))


def csr(
    key: ec.EllipticCurvePrivateKey, *attributes: bytes, subject: bytes = b"\x30\x00", spki: bytes = b""
) -> bytes:
    """A request, signed, as PEM. subject, spki: DER."""
    public = spki or key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    info = tlv(0x30, b"\x02\x01\x00", subject, public, tlv(0xA0, *attributes))
    signature = key.sign(info, ec.ECDSA(hashes.SHA256()))
    return pem(tlv(0x30, info, ECDSA_SHA256, tlv(0x03, b"\x00", signature)))


def pem(der: bytes) -> bytes:
    body = base64.encodebytes(der)
    return b"-----BEGIN CERTIFICATE REQUEST-----\n" + body + b"-----END CERTIFICATE REQUEST-----\n"


def built(
    key: ec.EllipticCurvePrivateKey, *extensions: x509.ExtensionType, subject: x509.Name | None = None
) -> bytes:
    """A request with these extensions, made by the library, as PEM."""
    builder = x509.CertificateSigningRequestBuilder(subject or x509.Name([]))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
