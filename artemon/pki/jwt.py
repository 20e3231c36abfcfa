"""JSON Web Tokens: signature, issuer, audience and time, judged as strictly as the standards allow.

RFC 7515, 7517, 7519, and the advice of RFC 8725: the algorithm follows from the key, never from the token;
keys come from the issuer's set alone, whatever the token's header says of others.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from artemon.errors import ArtemonError

MAX_TOKEN = 16 * 1024
MAX_KEYS = 100
LEEWAY = 30.0
"""Seconds by which clocks may differ."""
_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES = {"secp256r1": ("ES256",), "secp384r1": ("ES384",), "secp521r1": ("ES512",)}
_MIN_RSA_BITS = 2048
_SIGNATURES = ["sign", "verify"]
"""Operations of keys for signatures (RFC 7517 section 4.3); "sign" is said of public keys, too."""


class JwtRefused(ArtemonError):
    """A token, or a set of keys, is not taken. The text quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class Key:
    """One public key of an issuer and the algorithms that it may be used with."""

    kid: str
    algorithms: tuple[str, ...]
    jwk: jwt.PyJWK


def read_keys(document: bytes) -> tuple[Key, ...]:
    """The usable keys of a JWKS; others (symmetric, weak, for encryption) are left out. Raises JwtRefused
    when it is no JWKS or holds none."""
    fields = read_object(document, "the set of keys")
    entries = fields.get("keys")
    if not isinstance(entries, list):
        raise JwtRefused("the set of keys has no list of keys")
    found = tuple(key for entry in entries[:MAX_KEYS] if (key := _key(entry)) is not None)
    if not found:
        raise JwtRefused("the set of keys holds no key that can be used")
    return found


def _key(entry: object) -> Key | None:
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig" or entry.get("kty") == "oct":
        return None
    uses = entry.get("key_ops", _SIGNATURES)
    if not isinstance(uses, list) or not set(_SIGNATURES).intersection(map(str, uses)):
        return None
    try:
        jwk = jwt.PyJWK({name: value for name, value in entry.items() if name != "d"})
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError):
        return None
    algorithms = _algorithms(jwk.key)
    if "alg" in entry:
        algorithms = tuple(name for name in algorithms if name == entry["alg"])
    kid = entry.get("kid", "")
    return Key(kid, algorithms, jwk) if algorithms and isinstance(kid, str) else None


def _algorithms(key: object) -> tuple[str, ...]:
    if isinstance(key, rsa.RSAPublicKey):
        return _RSA if key.key_size >= _MIN_RSA_BITS else ()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return _CURVES.get(key.curve.name, ())
    return ("EdDSA",) if isinstance(key, ed25519.Ed25519PublicKey) else ()


def key_id(token: str) -> str:
    """The `kid` that a token names, unverified: for looking whether new keys must be fetched."""
    try:
        found = _header(token).get("kid", "")
    except JwtRefused:
        return ""
    return found if isinstance(found, str) else ""


def claimed_issuer(token: str) -> str:
    """The issuer that a token names, unverified: for finding who is to judge it."""
    try:
        _header(token)
        found = read_object(jwt.utils.base64url_decode(token.split(".")[1]), "the token").get("iss")
    except (JwtRefused, ValueError):
        return ""
    return found if isinstance(found, str) else ""


def verify(
    token: str, keys: Iterable[Key], *, issuer: str, audiences: Iterable[str], now: datetime
) -> Mapping[str, Any]:
    """The claims of `token`, signed by one of `keys`. Raises JwtRefused: another issuer or audience, too
    early, too late, without end, or not to be understood in one way only."""
    header = _header(token)
    algorithm, kid = header.get("alg"), header.get("kid")
    if "crit" in header or header.get("b64") is False:
        raise JwtRefused("the token asks for extensions that are not known")
    candidates = [key for key in keys if algorithm in key.algorithms and kid in (None, key.kid)]
    if not candidates:
        raise JwtRefused("the token is not signed with a key of its issuer")
    claims = read_object(_signed(token, str(algorithm), candidates), "the token")
    _check_claims(claims, issuer=issuer, audiences=frozenset(audiences), now=now.timestamp())
    return claims


def _header(token: str) -> dict[str, Any]:
    if len(token) > MAX_TOKEN or not token.isascii() or token.count(".") != 2:
        raise JwtRefused("the token is no JSON Web Token in compact form")
    try:
        raw = jwt.utils.base64url_decode(token.partition(".")[0])
    except ValueError as error:
        raise JwtRefused("the token's header cannot be read") from error
    return read_object(raw, "the token's header")


def _signed(token: str, algorithm: str, candidates: Iterable[Key]) -> bytes:
    for key in candidates:
        try:
            found = jwt.PyJWS().decode_complete(token, key=key.jwk.key, algorithms=[algorithm])
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
        payload: bytes = found["payload"]
        return payload
    raise JwtRefused("the token's signature is wrong")


def read_object(raw: bytes, what: str) -> dict[str, Any]:
    """A JSON object whose names are unique at every level."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            raise ValueError("a name is given twice")
        return made

    try:
        found = json.loads(raw, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise JwtRefused(f"{what} is no JSON that can be read in one way only") from error
    if not isinstance(found, dict):
        raise JwtRefused(f"{what} is no JSON object")
    return found


def _check_claims(claims: Mapping[str, Any], *, issuer: str, audiences: frozenset[str], now: float) -> None:
    if claims.get("iss") != issuer:
        raise JwtRefused("the token is of another issuer")
    given = claims.get("aud")
    named = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    if not any(isinstance(name, str) and name in audiences for name in named):
        raise JwtRefused("the token is for another audience")
    if _time(claims, "exp", required=True) <= now - LEEWAY:
        raise JwtRefused("the token has expired")
    if max(_time(claims, "nbf"), _time(claims, "iat")) > now + LEEWAY:
        raise JwtRefused("the token is not valid yet")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 1024:
        raise JwtRefused("the token names no subject")


def _time(claims: Mapping[str, Any], name: str, *, required: bool = False) -> float:
    value = claims.get(name)
    if value is None and name not in claims and not required:
        return -math.inf
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e12:
        raise JwtRefused(f"the token's {name} is no time")
    return float(value)
