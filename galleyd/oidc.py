"""Callers who show a token of an OpenID Connect issuer: users and groups out of its claims."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from artemon.daemon.jwks import Jwks
from artemon.pki.jwt import JwtRefused, key_id, verify
from galleyd.callers import EVERYONE, Caller, is_reserved

MAX_GROUPS = 200
MAX_NAME = 256


@dataclass(frozen=True, slots=True)
class Oidc:
    """One issuer. prefix: put before users and groups, so that they are mistaken for nobody else's."""

    jwks: Jwks
    issuer: str
    audiences: tuple[str, ...]
    user_claim: str = "sub"
    groups_claim: str = "groups"
    prefix: str = "oidc:"
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def caller(self, token: str) -> Caller:
        """Whom a token is for. Raises JwtRefused."""
        keys = await self.jwks.keys(wanted=key_id(token))
        claims = verify(token, keys, issuer=self.issuer, audiences=self.audiences, now=self.now())
        user = claims.get(self.user_claim)
        if not isinstance(user, str) or not _is_name(self.prefix + user):
            raise JwtRefused(f"the token's {self.user_claim} is no name of a user")
        if self.user_claim == "email" and claims.get("email_verified", True) is not True:
            raise JwtRefused("the token's email is not verified")
        return Caller(self.prefix + user, (*self._groups(claims), EVERYONE), how="oidc")

    def _groups(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        given = claims.get(self.groups_claim)
        named = [given] if isinstance(given, str) else given if isinstance(given, list) else []
        prefixed = (self.prefix + name for name in named[:MAX_GROUPS] if isinstance(name, str))
        return tuple(dict.fromkeys(name for name in prefixed if _is_name(name)))


def _is_name(name: str) -> bool:
    return 0 < len(name) <= MAX_NAME and name.isprintable() and not is_reserved(name)
