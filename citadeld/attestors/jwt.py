"""Callers who show a token of an issuer (`jwt+https://issuer.example?audience=artemon`): OpenID Connect, or a
cluster's tokens of service accounts. Facts are its claims: `claims[sub]`, `claims[kubernetes.io][namespace]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from artemon.daemon.jwks import Jwks, Place
from artemon.errors import Problem, Refused
from artemon.pki.jwt import JwtRefused, claimed_issuer, key_id, verify
from citadeld.attestors.api import Attested, Attestor, AttestorSettings, Evidence, Facts, Surroundings
from citadeld.decision import Denied, Method, Reason

MAX_FACTS = 200
MAX_DEPTH = 4
MAX_VALUE = 512


class JwtSettings(AttestorSettings):
    """Settings of one issuer."""

    audience: str = Field(description="Audiences that tokens may be for, with commas between them.")
    keys: str = Field("", description="URL or file of the issuer's keys; empty: found by discovery.")
    ca: str = Field("", description="Roots (PEM) of its HTTPS servers; empty: the machine's.")
    allow: str = Field("", description="Hosts that may lie on this machine or a link, with commas.")


class JwtAttestor:
    """Judges tokens of one issuer."""

    doors: tuple[Method, ...] = ("token",)
    roots = b""

    def __init__(self, issuer: str, settings: JwtSettings, around: Surroundings) -> None:
        self._issuer, self._now = issuer, around.now
        self._audiences = split(settings.audience)
        place = Place(issuer, settings.keys, settings.ca, split(settings.allow))
        self._jwks = Jwks(place, around.log)

    def takes(self, evidence: Evidence) -> bool:
        return claimed_issuer(evidence.bearer) == self._issuer

    async def attest(self, evidence: Evidence) -> Attested:
        token = evidence.bearer
        try:
            keys = await self._jwks.keys(wanted=key_id(token))
            claims = verify(token, keys, issuer=self._issuer, audiences=self._audiences, now=self._now())
        except JwtRefused as error:
            raise Denied(Reason.NOT_AUTHENTICATED, str(error)) from error
        return Attested(str(claims["sub"]), facts=facts_of(claims))

    async def run(self) -> None:
        await self._jwks.run()


def facts_of(claims: Mapping[str, Any]) -> Facts:
    """The claims that are texts, truth values, whole numbers or lists of texts, by their place."""
    found: dict[str, tuple[str, ...]] = {}
    for name, values in _leaves(claims, "claims", MAX_DEPTH):
        if len(found) < MAX_FACTS:
            found[name] = values
    return found


def _leaves(value: Mapping[str, Any], at: str, depth: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    for key, item in value.items():
        if not key or not key.isprintable() or "[" in key or "]" in key:
            continue  # its place could be read as another's
        place = f"{at}[{key}]"
        if isinstance(item, dict):
            if depth > 1:
                yield from _leaves(item, place, depth - 1)
            continue
        texts = [_text(one) for one in (item if isinstance(item, list) else [item])]
        if values := tuple(one for one in texts if one is not None):
            yield place, values


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    usable = isinstance(value, str) and 0 < len(value) <= MAX_VALUE and value.isprintable()
    return str(value) if usable else None


def split(text: str) -> tuple[str, ...]:
    """The parts of a list with commas."""
    return tuple(part for one in text.split(",") if (part := one.strip()))


class _Jwt:
    settings = JwtSettings

    def open(self, address: str, settings: AttestorSettings, around: Surroundings) -> Attestor:
        assert isinstance(settings, JwtSettings)
        issuer = address.partition("+")[2]
        if not issuer.startswith("https://"):
            text = f"{address}: must be jwt+https://ISSUER, exactly as the issuer's tokens name it"
            raise Refused([Problem("attestors", text)])
        if not split(settings.audience):
            raise Refused([Problem("audience", "must not be empty")], subject=address)
        return JwtAttestor(issuer, settings, around)


plugin = _Jwt()
