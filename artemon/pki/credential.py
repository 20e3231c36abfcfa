"""What a Secret of a gateway holds: a certificate chain with its key, roots of clients, revocations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from artemon.errors import Problem
from artemon.model.secret import PARTS, TLS_TYPE, Credential, written
from artemon.model.words import path_of
from artemon.pki.errors import KeyRefused
from artemon.pki.keys import load_private_key, spki_sha256


def credential_problems(data: Mapping[str, bytes], kind: str, *, now: datetime) -> list[Problem]:
    """What is wrong with the data of a Secret of type `kind`; no value is ever part of a message."""
    found = list(_shape(data, kind))
    held = Credential.of(data)
    if held.certificate:
        found += _pair(held, _path(data, "certificate"), _path(data, "key"), now)
    for part, check in _CHECKS.items():
        if getattr(held, part):
            found += check(getattr(held, part), _path(data, part), now)
    return found


def _path(data: Mapping[str, bytes], part: str) -> str:
    return path_of(("data", written(data, part)))


def _shape(data: Mapping[str, bytes], kind: str) -> Iterator[Problem]:
    """Whether the parts are there that belong together."""
    held = Credential.of(data)
    needed = {"certificate", "key"} if kind == TLS_TYPE else set()
    if held.certificate or held.key:
        needed = {"certificate", "key"}
    for part in sorted(needed):
        if not getattr(held, part):
            yield Problem(_path(data, part), f"is required: certificate and key belong together ({kind})")
    if not needed and not held.roots:
        yield Problem("data", "must hold tls.crt and tls.key (or cert and key), or ca.crt (or cacert)")
    if held.revoked and not held.roots:
        yield Problem(_path(data, "revoked"), "needs ca.crt beside it")
    known = {name for names in PARTS.values() for name in names}
    for name in sorted(data.keys() - known):
        yield Problem(path_of(("data", name)), "is kept, but no gateway uses it", "warning")


def _pair(held: Credential, at: str, at_key: str, now: datetime) -> Iterator[Problem]:
    chain = _certificates(held.certificate)
    if not chain:
        yield Problem(at, "must be certificates in PEM, the server's own first")
        return
    yield from _times(chain, at, now)
    yield from _order(chain, at)
    if not held.key:
        return
    try:
        key = load_private_key(held.key)
    except KeyRefused as refusal:
        yield Problem(at_key, str(refusal))
        return
    try:
        same = spki_sha256(key.public_key()) == spki_sha256(chain[0].public_key())  # type: ignore[arg-type]
    except (ValueError, AttributeError):
        same = False
    if not same:
        others = [number for number, one in enumerate(chain[1:], 2) if _is_of(one, held.key)]
        hint = f"; it belongs to certificate {others[0]}: put that one first" if others else ""
        yield Problem(at_key, f"is not the key of the first certificate{hint}")


def is_pair(certificate: bytes, key: bytes) -> bool:
    """Whether the first of the certificates (PEM) is of this key (PEM)."""
    chain = _certificates(certificate)
    try:
        return bool(chain) and _is_of(chain[0], key)
    except KeyRefused:
        return False


def _is_of(certificate: x509.Certificate, key: bytes) -> bool:
    own = load_private_key(key).public_key().public_numbers()
    return bool(getattr(certificate.public_key(), "public_numbers", lambda: None)() == own)


def _order(chain: list[x509.Certificate], path: str) -> Iterator[Problem]:
    for number, (one, issuer) in enumerate(pairwise(chain), 1):
        try:
            one.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            yield Problem(
                path, f"certificate {number + 1} did not issue certificate {number}: put them in order"
            )


def _times(chain: list[x509.Certificate], path: str, now: datetime) -> Iterator[Problem]:
    for number, one in enumerate(chain, 1):
        if one.not_valid_after_utc < now:
            ended = one.not_valid_after_utc.isoformat(timespec="seconds")
            yield Problem(path, f"certificate {number} expired at {ended}", "warning")
        elif one.not_valid_before_utc > now:
            begins = one.not_valid_before_utc.isoformat(timespec="seconds")
            yield Problem(path, f"certificate {number} is not valid before {begins}", "warning")


def _roots(pem: bytes, path: str, now: datetime) -> Iterator[Problem]:
    found = _certificates(pem)
    if not found:
        yield Problem(path, "must be certificates in PEM")
    yield from _times(found, path, now)


def _revoked(pem: bytes, path: str, _: datetime) -> Iterator[Problem]:
    try:
        x509.load_pem_x509_crl(pem)
    except ValueError:
        yield Problem(path, "must be a certificate revocation list in PEM")


_CHECKS: Mapping[str, Callable[[bytes, str, datetime], Iterator[Problem]]] = {
    "roots": _roots,
    "revoked": _revoked,
}


def _certificates(pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        return []
