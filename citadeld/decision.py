"""Who asks, and what citadeld answers when it says no."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from artemon.errors import ArtemonError
from artemon.pki.spiffe import SpiffeId

Method = Literal["certificate", "token", "machine", "peer", "socket"]
"""The door that a call came in by: client certificate of the mesh; none, but a bearer token; a certificate of
the operator's own; the Unix socket for attestation; the one for operators."""


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
class Grounds:
    """Why a caller may have an identity. attestor: its name. grant: namespace and name of the IdentityGrant,
    empty where the attestor knows the identity; facts: those that it asks for."""

    attestor: str
    grant: str
    facts: Mapping[str, tuple[str, ...]]

    def fields(self) -> dict[str, Any]:
        """For the registry."""
        return {"attestor": self.attestor, "grant": self.grant, "facts": dict(self.facts)}

    @classmethod
    def of(cls, fields: Any) -> Grounds:
        """From the registry. Raises ValueError, TypeError, LookupError, AttributeError."""
        facts = {str(name): tuple(map(str, values)) for name, values in fields["facts"].items()}
        return cls(str(fields["attestor"]), str(fields["grant"]), facts)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. identity: absent for an operator on the socket. token_id: of the join token, if any, or what
    else the attestor calls the caller. serial: of the client certificate, hexadecimal. attested: by whom, and
    what of it an IdentityGrant asked for."""

    method: Method
    address: str
    identity: SpiffeId | None = None
    token_id: str = ""
    serial: str = ""
    attested: Grounds | None = None
