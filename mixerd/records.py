"""What is kept: lines of access logs, spans, and counts of who called whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from artemon.pki.spiffe import SpiffeId
from artemon.pki.subject import read_subject

SOURCE, DESTINATION = "source", "destination"


@dataclass(frozen=True, slots=True)
class Reporter:
    """A proxy that reports, as its certificate says it."""

    namespace: str
    service: str
    workload: str
    version: str = ""

    @classmethod
    def of(cls, identity: SpiffeId, subject: str) -> Reporter:
        """subject: of the certificate (`artemon.pki.subject`); without one it is called as its account."""
        told = read_subject(subject)
        if told is None:
            return cls(identity.namespace, identity.service_account, identity.service_account)
        return cls(identity.namespace, told.canonical_service, told.workload, told.version)


class Call(NamedTuple):
    """One request or connection. at: seconds since 1970; duration: milliseconds; code: 0 for connections and
    requests without an answer. encrypted: whether mutual TLS was seen (known at the destination)."""

    at: float
    reporter: str
    source_namespace: str
    source: str
    source_workload: str
    namespace: str
    service: str
    workload: str
    version: str
    protocol: str
    method: str
    path: str
    authority: str
    code: int
    flags: str
    duration: float
    sent: int
    received: int
    encrypted: bool
    request_id: str

    @property
    def failed(self) -> bool:
        """Whether the caller was not served: by a server's fault, or without any answer."""
        return self.code >= 500 or (self.code == 0 and self.flags not in ("", "-"))


class Span(NamedTuple):
    """One span. start: nanoseconds since 1970; duration: milliseconds; tags: JSON."""

    trace: str
    span: str
    parent: str
    namespace: str
    service: str
    name: str
    kind: str
    start: int
    duration: float
    failed: bool
    tags: str
