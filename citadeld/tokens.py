"""Join tokens: secrets that are good for a first certificate, once, for a short time.

The registry holds only their SHA-256, under `trust/tokens/`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from artemon.pki.errors import InvalidSpiffeId
from artemon.pki.spiffe import SpiffeId
from artemon.store.api import ABSENT, Check, Delete, Entry, Op, Put, Store
from citadeld.decision import Denied, Reason

MAX_TTL = timedelta(hours=24)
MAX_USES = 1000
MAX_TOKEN = 256
ID_LENGTH = 16
TOKEN_BYTES = 32
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_ACCOUNT = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_ID = re.compile(rf"[0-9a-f]{{{ID_LENGTH}}}")


@dataclass(frozen=True, slots=True)
class Token:
    """What is known about a token; not the secret."""

    id: str
    namespace: str
    service_account: str
    created: datetime
    expires: datetime
    uses: int

    def encode(self) -> bytes:
        """The registry's value."""
        return json.dumps(
            {
                "id": self.id,
                "namespace": self.namespace,
                "serviceAccount": self.service_account,
                "created": self.created.isoformat(),
                "expires": self.expires.isoformat(),
                "uses": self.uses,
            }
        ).encode()

    @classmethod
    def decode(cls, value: bytes) -> Token | None:
        """From a registry value; None when it is corrupt: a token that cannot be read is good for nothing."""
        try:
            content = json.loads(value)
            created, expires = (datetime.fromisoformat(content[key]) for key in ("created", "expires"))
            if created.tzinfo is None or expires.tzinfo is None:
                return None
            name, namespace, account = (str(content[key]) for key in ("id", "namespace", "serviceAccount"))
            return cls(name, namespace, account, created, expires, int(content["uses"]))
        except (ValueError, TypeError, KeyError):
            return None


@dataclass(frozen=True, slots=True)
class Claim:
    """A token that was good when it was looked at, and what must hold and happen for it to be used."""

    token: Token
    check: Check
    op: Op


class Tokens:
    """The join tokens of one mesh."""

    def __init__(self, store: Store, prefix: str, *, now: Callable[[], datetime]) -> None:
        self._store = store
        self._prefix = prefix + "trust/tokens/"
        self._now = now

    async def create(self, secret: str, *, identity: SpiffeId, ttl: timedelta, uses: int) -> Token:
        """Store a token for `identity` with the given secret. Raises Denied, StoreError."""
        _check_wish(identity, ttl, uses)
        digest = _digest(secret)
        created = self._now().replace(microsecond=0)
        token = Token(
            digest[:ID_LENGTH], identity.namespace, identity.service_account, created, created + ttl, uses
        )
        result = await self._store.put(self._prefix + digest, token.encode(), if_version=ABSENT)
        if not result.ok:
            raise Denied(Reason.NOT_NOW, "the token could not be stored; try again")
        return token

    async def claim(self, secret: str) -> Claim:
        """The right to use a token. Nothing is used up until its check and operation are in a transaction.

        Raises Denied: unknown, used up, expired. The answer is the same for all three.
        """
        refused = Denied(
            Reason.NOT_AUTHENTICATED, "the join token is not valid: it is unknown, expired or used up"
        )
        if not secret or len(secret) > MAX_TOKEN or not secret.isascii():
            raise refused
        entry = await self._store.get(self._prefix + _digest(secret))
        token = Token.decode(entry.value) if entry else None
        if entry is None or token is None or token.uses < 1 or token.expires <= self._now():
            raise refused
        check = Check(entry.key, version=entry.version)
        return Claim(token, check, _used_once(entry.key, token))

    async def list(self) -> list[Token]:
        """Every token that is still good, by expiry."""
        found = await self._store.list(self._prefix)
        tokens = [token for entry in found.entries if (token := Token.decode(entry.value))]
        return sorted((one for one in tokens if one.expires > self._now()), key=lambda one: one.expires)

    async def revoke(self, token_id: str) -> None:
        """Make a token good for nothing. Raises Denied when there is none with this id."""
        if not _ID.fullmatch(token_id):
            raise Denied(Reason.MALFORMED, f"a token id has {ID_LENGTH} hexadecimal digits")
        found = await self._store.list(self._prefix + token_id)
        if not found.entries:
            raise Denied(Reason.NOT_FOUND, f"there is no join token {token_id}")
        for entry in found.entries:
            await self._store.delete(entry.key)

    def is_over(self, entry: Entry) -> bool:
        """Whether a stored token can be swept away."""
        token = Token.decode(entry.value)
        return token is None or token.expires <= self._now()


def _used_once(key: str, token: Token) -> Op:
    if token.uses == 1:
        return Delete(key)
    left = Token(
        token.id, token.namespace, token.service_account, token.created, token.expires, token.uses - 1
    )
    return Put(key, left.encode())


def wanted_identity(trust_domain: str, namespace: str, service_account: str) -> SpiffeId:
    """Whom a new token is for. Raises Denied when the names are not Kubernetes names."""
    if not _LABEL.fullmatch(namespace):
        raise Denied(Reason.MALFORMED, "namespace: must be a DNS label in lower case, up to 63 characters")
    if not _ACCOUNT.fullmatch(service_account) or ".." in service_account:
        raise Denied(Reason.MALFORMED, "service_account: must be a DNS name in lower case")
    try:
        return SpiffeId(trust_domain, namespace, service_account)
    except InvalidSpiffeId as error:
        raise Denied(Reason.MALFORMED, str(error)) from error


def _check_wish(identity: SpiffeId, ttl: timedelta, uses: int) -> None:
    if identity.is_system and identity.service_account == "citadeld":
        raise Denied(Reason.NOT_ALLOWED, "citadeld certifies itself; there are no tokens for it")
    if not timedelta(seconds=1) <= ttl <= MAX_TTL:
        raise Denied(Reason.MALFORMED, f"ttl: must be from 1 second to {MAX_TTL}")
    if not 1 <= uses <= MAX_USES:
        raise Denied(Reason.MALFORMED, f"uses: must be from 1 to {MAX_USES}")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
