"""The answer: how far a call came, why, and what it got."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NO_LISTENER = "no listener matched"
NO_CHAIN = "no filter chains matched"
SEVERAL_CHAINS = "multiple filter chains matched"
NO_VIRTUAL_HOST = "no virtual host matched"
NO_ROUTE = "no route matched"
TLS_REQUIRED = "tls required, sending 301"
PROTOCOL = "protocol error"
PLAINTEXT_FOR_TLS = "invalid TLS"
DENIED = "RBAC: access denied"
WRONG_TLS = "invalid mTLS"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the filters let it pass, and which policy said so; "" where none matched.

    authorizer: the cluster that is asked as well, and decides. tried: dry-run policies that matched.
    asked: how many filters had a say. response: what the client gets of a refusal, beside the usual.
    """

    allowed: bool = True
    policy: str = ""
    reason: str = ""
    authorizer: str = ""
    tried: tuple[str, ...] = ()
    asked: int = 0
    response: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """One decision. stage: what was chosen (`listener`, `route`, ...), name: which, reason: why.

    passed: what was not chosen, and why not, in the order in which it was looked at.
    """

    stage: str
    name: str
    reason: str
    passed: tuple[str, ...] = ()


Target = str | Mapping[str, int]
"""A cluster, or several with their weights."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What Envoy does with a call. None: not reached, or without a name.

    route_config: the table that was fetched by name; None for one that the listener carries itself.
    cluster: where the call goes. response: what Envoy answers itself, or does to the connection, when it
    forwards nothing. strict: the same call meets the same fate every time, no share of chance decides.
    verdict: what policies say of it; None when none was reached.
    owner: the object that the winning route was made from, as `istio` metadata names it.
    """

    listener: str | None = None
    filter_chain: str | None = None
    route_config: str | None = None
    virtual_host: str | None = None
    route: str | None = None
    cluster: Target | None = None
    strict: bool = True
    error: str | None = None
    response: Mapping[str, Any] | None = None
    owner: str | None = None
    verdict: Verdict | None = None
    steps: tuple[Step, ...] = ()

    def fields(self) -> dict[str, Any]:
        """The answer as JSON has it; what was not reached is absent."""
        found = {
            "listener": self.listener,
            "filterChain": self.filter_chain,
            "routeConfig": self.route_config,
            "virtualHost": self.virtual_host,
            "route": self.route,
            "cluster": self.cluster if isinstance(self.cluster, str | None) else dict(self.cluster),
            "strict": self.strict or None,
            "error": self.error,
            "response": self.response,
        }
        return {name: value for name, value in found.items() if value is not None}


class Stopped(Exception):
    """The call comes no further. error: why; response: what the client notices."""

    def __init__(self, error: str, response: Mapping[str, Any] | None = None, *, why: str = "") -> None:
        super().__init__(error)
        self.error = error
        self.response = response
        self.why = why
