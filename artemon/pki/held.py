"""Keys that sign and are never given away: files, hardware or a service behind one small interface.

`held(signing)` is a key as the builders of certificates and revocation lists want it. They hand it what is
to be signed (the DER of a TBSCertificate or TBSCertList, RFC 5280); everything else that keys can do is
refused."""

from __future__ import annotations

from typing import Any, NoReturn, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from artemon.pki.keys import PrivateKey, PublicKey


class Signing(Protocol):
    """Signs with one key, which stays where it is."""

    def public_key(self) -> PublicKey:
        """The public half."""

    def sign(self, tbs: bytes) -> bytes:
        """The signature over what is to be signed: ECDSA in DER, or RSA by PKCS #1 v1.5, with the digest that
        `digest_for` says. Raises ArtemonError."""


def digest_for(key: PublicKey) -> hashes.SHA256 | hashes.SHA384:
    """The digest that goes with a key: SHA-384 for P-384, else SHA-256."""
    strong = isinstance(key, ec.EllipticCurvePublicKey) and key.key_size > 256
    return hashes.SHA384() if strong else hashes.SHA256()


class KeySigning:
    """Signs with a key of this process."""

    def __init__(self, key: PrivateKey) -> None:
        self.__key = key

    def __repr__(self) -> str:
        return "KeySigning()"

    def public_key(self) -> PublicKey:
        """The public half."""
        return self.__key.public_key()

    def sign(self, tbs: bytes) -> bytes:
        """The signature."""
        digest = digest_for(self.public_key())
        if isinstance(self.__key, rsa.RSAPrivateKey):
            return self.__key.sign(tbs, padding.PKCS1v15(), digest)
        return self.__key.sign(tbs, ec.ECDSA(digest))


def held(signing: Signing) -> PrivateKey:
    """`signing` as a key that builders sign with."""
    public = signing.public_key()
    return (
        _HeldEc(signing, public)
        if isinstance(public, ec.EllipticCurvePublicKey)
        else _HeldRsa(signing, public)
    )


def _never(*_: Any, **__: Any) -> NoReturn:
    raise UnsupportedAlgorithm("this key signs certificates and lists; it is not given away")


class _HeldEc(ec.EllipticCurvePrivateKey):
    def __init__(self, signing: Signing, public: ec.EllipticCurvePublicKey) -> None:
        self._signing, self._public = signing, public

    @property
    def curve(self) -> ec.EllipticCurve:
        return self._public.curve

    @property
    def key_size(self) -> int:
        return self._public.key_size

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._public

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        wanted = getattr(signature_algorithm.algorithm, "name", "")
        return self._signing.sign(bytes(data)) if wanted == digest_for(self._public).name else _never()

    def __copy__(self) -> _HeldEc:
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> _HeldEc:
        return self

    exchange = private_bytes = private_numbers = _never


class _HeldRsa(rsa.RSAPrivateKey):
    def __init__(self, signing: Signing, public: rsa.RSAPublicKey) -> None:
        self._signing, self._public = signing, public

    @property
    def key_size(self) -> int:
        return self._public.key_size

    def public_key(self) -> rsa.RSAPublicKey:
        return self._public

    def sign(self, data: Any, padding: Any, algorithm: Any) -> bytes:
        is_ours = padding.name == "EMSA-PKCS1-v1_5" and algorithm.name == digest_for(self._public).name
        return self._signing.sign(bytes(data)) if is_ours else _never()

    def __copy__(self) -> _HeldRsa:
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> _HeldRsa:
        return self

    decrypt = private_bytes = private_numbers = _never
