"""Where a rule is evaluated, which decides what can be asked and what an answer means."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Speech(StrEnum):
    """What the filter sees: requests in Envoy, requests in a gRPC server, or connections alone."""

    HTTP = "http"
    GRPC = "grpc"
    TCP = "tcp"


@dataclass(frozen=True, slots=True)
class Ground:
    """action: of the policy. namespace: the policy's. identified: whether every caller with a right to be
    here has an identity of the mesh (sidecars), so that one without counts as the worst."""

    speech: Speech
    action: str
    namespace: str
    trust_domains: tuple[str, ...]
    identified: bool

    @property
    def is_wide(self) -> bool:
        """Whether a rule that does not match lets the request through."""
        return self.action != "ALLOW"


class NotHere(Exception):
    """The filter cannot see what is asked about."""
