"""How often requests may come: RateLimit (`policy.artemon.io/v1`)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from artemon.model.duration import Duration
from artemon.model.message import Message, Seq, Uint32
from artemon.model.selector import MatchLabelsSelector
from artemon.model.virtual_service import StringMatch

MIXERD = "mixerd.artemon-system.svc.cluster.local"
MIXERD_PORT = 15004


class RateLimitMatch(Message):
    """Which requests a rule is about; what is left out is met by all."""

    methods: Seq[str] = ()
    path: StringMatch | None = None
    headers: dict[str, StringMatch] = Field(default_factory=dict)


class RateLimitKey(Message):
    """What requests are told apart by: each value has a limit of its own. A request without it is not
    limited by the rule."""

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {"key": ("header", "claim", "attribute")}

    header: str | None = None
    claim: str | None = None
    attribute: Literal["SOURCE", "PRINCIPAL", "METHOD", "PATH"] | None = None


class RateLimitOverride(Message):
    """Another limit for one value of the first key."""

    required: ClassVar[tuple[str, ...]] = ("value", "requests")

    value: str = ""
    requests: Uint32 = 0


class RateLimitRule(Message):
    """One limit. scope: LOCAL is counted by each proxy, GLOBAL by a service for all. window, of GLOBAL: FIXED
    begins anew at every `per`, SLIDING weighs the last one. shadow: is counted, and refuses nothing.
    failOpen: what happens when nobody counts."""

    required: ClassVar[tuple[str, ...]] = ("name", "requests", "per")

    name: str = ""
    match: RateLimitMatch | None = None
    by: Seq[RateLimitKey] = ()
    requests: Uint32 = 0
    per: Duration | None = None
    burst: Uint32 = 0
    scope: Literal["LOCAL", "GLOBAL"] = "LOCAL"
    window: Literal["FIXED", "SLIDING"] = "FIXED"
    shadow: bool = False
    fail_open: bool = True
    overrides: Seq[RateLimitOverride] = ()


class RateLimit(Message):
    """Limits on what comes to workloads, or through gateways. service, port: who counts for all proxies.
    maxRequestBytes: of a request's body, which is taken whole before it goes on. maxConcurrentRequests: under
    way at a time behind each port of each workload."""

    selector: MatchLabelsSelector | None = None
    rules: Seq[RateLimitRule] = ()
    max_request_bytes: Uint32 = 0
    max_concurrent_requests: Uint32 = 0
    service: str = MIXERD
    port: Uint32 = MIXERD_PORT
