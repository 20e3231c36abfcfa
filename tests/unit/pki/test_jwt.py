"""JSON Web Tokens: T13 (confusions of algorithm, key, issuer and audience), T04 (nothing crashes)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from artemon.pki.jwt import JwtRefused, key_id, read_keys, verify

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ISSUER, AUDIENCE = "https://issuer.example", "galleyd"
RSA, OTHER = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
EC = ec.generate_private_key(ec.SECP256R1())


def jwk(key: Any, kid: str, **more: Any) -> dict[str, Any]:
    algorithm = (
        jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    )
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, **more}


def document(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": list(keys)}).encode()


KEYS = read_keys(document(jwk(RSA, "r"), jwk(EC, "e")))
CLAIMS: dict[str, Any] = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": NOW.timestamp() + 300}


def signed(
    key: Any = RSA, alg: str = "RS256", kid: str | None = "r", claims: Any = None, **header: Any
) -> str:
    headers = {**({"kid": kid} if kid else {}), **header}
    payload = json.dumps({**CLAIMS, **(claims or {})}).encode()
    return jwt.PyJWS().encode(payload, key, algorithm=alg, headers=headers)


def part(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def by_hand(header: Any, claims: Any, sign: Callable[[bytes], bytes] = lambda _: b"") -> str:
    text = f"{part(header)}.{part(claims)}"
    return f"{text}.{base64.urlsafe_b64encode(sign(text.encode())).decode().rstrip('=')}"


def judge(token: str) -> Any:
    return verify(token, KEYS, issuer=ISSUER, audiences=[AUDIENCE], now=NOW)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(signed(), id="rsa"),
        pytest.param(signed(EC, "ES256", "e"), id="ec"),
        pytest.param(signed(alg="PS512"), id="pss"),
        pytest.param(signed(kid=None), id="no-kid"),
        pytest.param(signed(claims={"aud": ["x", AUDIENCE]}), id="several-audiences"),
        pytest.param(signed(claims={"exp": NOW.timestamp() - 10}), id="clocks-differ-a-little"),
    ],
)
def test_good_tokens(token: str) -> None:
    assert judge(token)["sub"] == "ann"


def hmac_with_public_key(header: dict[str, Any]) -> str:
    pem = RSA.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return by_hand(header, CLAIMS, lambda text: hmac.digest(pem, text, hashlib.sha256))


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in CLAIMS.items() if key != name}


NOT_ALGORITHMS: list[Any] = ["none", "None", "NONE", "", None, 1, []]
NOT_SUBJECTS: list[Any] = ["", 1, None, [], {}, "x" * 4000]


def raw(claims: str) -> str:
    return jwt.PyJWS().encode(claims.encode(), RSA, algorithm="RS256", headers={"kid": "r"})


@pytest.mark.parametrize(
    "token",
    [
        *(pytest.param(by_hand({"alg": alg}, CLAIMS), id=f"alg-{alg}") for alg in NOT_ALGORITHMS),
        pytest.param(by_hand({"kid": "r"}, CLAIMS), id="no-alg"),
        pytest.param(hmac_with_public_key({"alg": "HS256", "kid": "r"}), id="hs256-with-public-key"),
        pytest.param(hmac_with_public_key({"alg": "HS256"}), id="hs256-without-kid"),
        pytest.param(signed(OTHER), id="another-key-same-kid"),
        pytest.param(signed(OTHER, kid="../../dev/null"), id="kid-path"),
        pytest.param(signed(OTHER, kid="https://evil.example/keys"), id="kid-url"),
        pytest.param(signed(OTHER, jku="https://evil.example/jwks"), id="jku"),
        pytest.param(signed(OTHER, jwk=jwk(OTHER, "r")), id="key-in-the-token"),
        pytest.param(signed(OTHER, x5u="https://evil.example/c"), id="x5u"),
        pytest.param(signed(crit=["exp"]), id="crit"),
        pytest.param(signed(EC, "ES256", "r"), id="kid-of-another-type"),
        *(
            pytest.param(signed(claims={"iss": issuer}), id=f"issuer-{issuer}")
            for issuer in ("", ISSUER + "/", ISSUER.upper(), None, [ISSUER], "https://issuer.example.evil")
        ),
        *(
            pytest.param(signed(claims={"aud": audience}), id=f"audience-{audience}")
            for audience in ("", "galley", "galleyd ", [], ["x"], None, {"galleyd": 1}, [["galleyd"]])
        ),
        *(
            pytest.param(raw(json.dumps({**CLAIMS, "exp": exp})), id=f"exp-{exp}")
            for exp in (0, -1, None, "9999999999", True, [], NOW.timestamp() - 60, 1e300)
        ),
        pytest.param(raw(json.dumps(CLAIMS)[:-1] + ', "exp": NaN}'), id="exp-nan"),
        pytest.param(raw(json.dumps({**CLAIMS, "exp": 0})[:-1] + ', "exp": 9999999999}'), id="two-ends"),
        pytest.param(raw(json.dumps({**CLAIMS, "sub": "eve"})[:-1] + ', "sub": "ann"}'), id="two-subjects"),
        pytest.param(signed(claims={"nbf": NOW.timestamp() + 60}), id="nbf"),
        pytest.param(signed(claims={"iat": NOW.timestamp() + 60}), id="iat"),
        pytest.param(raw(json.dumps(without("exp"))), id="no-exp"),
        pytest.param(raw(json.dumps(without("iss"))), id="no-issuer"),
        pytest.param(raw(json.dumps(without("aud"))), id="no-audience"),
        *(
            pytest.param(raw(json.dumps({**CLAIMS, "sub": sub})), id=f"t04-sub-{str(sub)[:9]}")
            for sub in NOT_SUBJECTS
        ),
        pytest.param(raw("[]"), id="list"),
        pytest.param(raw("[" * 3000), id="deep"),
        pytest.param(raw("\x00"), id="nul"),
        pytest.param(signed() + ".", id="four-parts"),
        pytest.param(signed().replace(".", "..", 1), id="empty-part"),
        pytest.param(signed()[:-4] + "AAAA", id="other-signature"),
        pytest.param("x" * 100_000, id="long"),
        pytest.param("", id="nothing"),
        pytest.param("ä.ö.ü", id="not-ascii"),
    ],
)
def test_t13_bad_tokens_are_refused(token: str) -> None:
    with pytest.raises(JwtRefused) as refused:
        judge(token)
    assert "eve" not in str(refused.value)


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{}", id="no-list"),
        pytest.param(b'{"keys": []}', id="empty"),
        pytest.param(b'{"keys": 1}', id="number"),
        pytest.param(b"[" * 5000, id="deep"),
        pytest.param(document({"kty": "oct", "k": "c2VjcmV0", "kid": "r"}), id="symmetric"),
        pytest.param(document(jwk(RSA, "r", use="enc")), id="for-encryption"),
        pytest.param(document(jwk(RSA, "r", key_ops=["encrypt"])), id="to-encrypt"),
        pytest.param(document(jwk(RSA, "r", key_ops="verify")), id="operations-that-are-no-list"),
        pytest.param(document(jwk(RSA, "r", alg="HS256")), id="wrong-algorithm"),
        pytest.param(document({"kty": "RSA", "n": "AQAB", "e": "AQAB"}), id="tiny"),
        pytest.param(document({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}), id="off-the-curve"),
        pytest.param(document({"kty": None}, {"kty": 3}, {}), id="nonsense"),
    ],
)
def test_t14_sets_without_a_usable_key_are_refused(keys: bytes) -> None:
    with pytest.raises(JwtRefused):
        read_keys(keys)


@pytest.mark.slow
@given(
    st.text(max_size=200) | st.from_regex(r"[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}")
)
def test_t04_no_text_is_more_than_refused(text: str) -> None:
    key_id(text)
    with pytest.raises(JwtRefused):
        judge(text)


@given(st.binary(max_size=300))
def test_t04_no_document_is_more_than_refused(content: bytes) -> None:
    with pytest.raises(JwtRefused):
        read_keys(content)
