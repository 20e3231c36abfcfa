"""PeerAuthentication: the fields of Istio's v1 schema."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from artemon.model.message import Message
from artemon.model.selector import MatchLabelsSelector


class PeerAuthenticationMutualTLS(Message):
    """What the server side accepts; UNSET inherits, and without any parent means PERMISSIVE."""

    mode: Literal["UNSET", "DISABLE", "PERMISSIVE", "STRICT"] = "UNSET"


class PeerAuthentication(Message):
    """Whether workloads take plaintext, mutual TLS or both. Port keys are the workload's own ports."""

    selector: MatchLabelsSelector | None = None
    mtls: PeerAuthenticationMutualTLS | None = None
    port_level_mtls: dict[str, PeerAuthenticationMutualTLS] = Field(default_factory=dict)
