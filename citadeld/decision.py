"""Who asks, and what citadeld answers when it says no."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from artemon.errors import ArtemonError
from artemon.pki.spiffe import SpiffeId

Method = Literal["certificate", "token", "socket"]


class Reason(Enum):
    """Why a call is refused; the value is the gRPC status."""

    MALFORMED = "INVALID_ARGUMENT"
    NOT_AUTHENTICATED = "UNAUTHENTICATED"
    NOT_ALLOWED = "PERMISSION_DENIED"
    TOO_MANY = "RESOURCE_EXHAUSTED"
    NOT_FOUND = "NOT_FOUND"
    NOT_NOW = "UNAVAILABLE"
    BROKEN = "INTERNAL"


class Denied(ArtemonError):
    """A call is refused. Its text is for the caller and tells no secret."""

    def __init__(self, reason: Reason, text: str) -> None:
        self.reason = reason
        super().__init__(text)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. identity: absent for an operator on the socket. token_id: of the join token, if any.
    serial: of the client certificate, hexadecimal."""

    method: Method
    address: str
    identity: SpiffeId | None = None
    token_id: str = ""
    serial: str = ""
