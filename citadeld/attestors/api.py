"""What an attestor is: a plug-in of the entry-point group `artemon.attestors`.

An attestor looks at the evidence of one call. It either knows the identity already (a join token, a current
certificate), or finds facts out; IdentityGrants in the registry then say whose identity those may have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from artemon.daemon.peers import Peer
from artemon.log import Log
from artemon.pki.spiffe import SpiffeId
from citadeld.decision import Method
from citadeld.tokens import Claim, Tokens

GROUP = "artemon.attestors"
Facts = Mapping[str, tuple[str, ...]]
"""Name -> values, as an IdentityGrant names them."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a call shows. door: the listener. identity: of a mesh certificate that was verified. bearer: of
    its one authorization header. chain: the client certificate with what came along, PEM, the leaf first,
    verified against the roots of that listener's attestors. peer: of a Unix socket."""

    door: Method
    identity: SpiffeId | None = None
    bearer: str = field(default="", repr=False)
    chain: bytes = b""
    peer: Peer | None = None


@dataclass(frozen=True, slots=True)
class Attested:
    """What an attestor found. identity: known already, with what must be used up for it. name: who it is, for
    the audit log; free of secrets. identities: any one of these may be asked for without an IdentityGrant,
    on this evidence alone: it is not renewed by the certificate, but attested anew each time."""

    name: str = ""
    identity: SpiffeId | None = None
    claim: Claim | None = None
    facts: Facts = field(default_factory=dict)
    identities: frozenset[SpiffeId] = frozenset()


class AttestorSettings(BaseModel):
    """What every attestor can be told, in the query of its URL."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        "", pattern="^[a-z0-9-]{0,40}$", description="As IdentityGrants name it; its scheme when empty."
    )


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What citadeld lends to attestors."""

    trust_domain: str
    tokens: Tokens
    now: Callable[[], datetime]
    log: Log


class Attestor(Protocol):
    """Judges evidence."""

    @property
    def doors(self) -> tuple[Method, ...]:
        """Where the evidence comes in that it looks at."""

    @property
    def roots(self) -> bytes:
        """Of client certificates at the machines' listener, PEM; empty for attestors that look at none."""

    def takes(self, evidence: Evidence) -> bool:
        """Whether this evidence, of one of its doors, is for it to judge. Believes nothing yet."""

    async def attest(self, evidence: Evidence) -> Attested:
        """Raises Denied, with a reason for the caller that tells no secret."""

    async def run(self) -> None:
        """What goes on beside calls, until cancelled; may return at once."""


class Plugin(Protocol):
    """A kind of attestor. settings: its frozen class of settings, which stand in the URL's query."""

    settings: type[AttestorSettings]

    def open(self, address: str, settings: AttestorSettings, around: Surroundings) -> Attestor:
        """The attestor at `address`, the URL without its query. Reads files, connects to nothing. Raises
        ArtemonError."""
