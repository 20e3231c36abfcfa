"""SPIFFE IDs: the names of workloads (SPIFFE standard, "SPIFFE-ID", section 2)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from artemon.pki.errors import InvalidSpiffeId

SYSTEM_NAMESPACE = "artemon-system"
"""Where the daemons and the operator (service account `admin`) live."""

MAX_ID = 2048
MAX_TRUST_DOMAIN = 255
_SCHEME = "spiffe://"
_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]+")
_SEGMENT = re.compile(r"[A-Za-z0-9._-]+")


def check_trust_domain(text: str) -> str:
    """`text`, if it can be a trust domain. Raises InvalidSpiffeId."""
    if len(text) > MAX_TRUST_DOMAIN:
        raise InvalidSpiffeId(f"a trust domain has at most {MAX_TRUST_DOMAIN} characters, not {len(text)}")
    if not _TRUST_DOMAIN.fullmatch(text):
        raise InvalidSpiffeId(f"{_shown(text)} is not a trust domain: it consists of a-z, 0-9, '.', '_', '-'")
    return text


@dataclass(frozen=True, slots=True, order=True)
class SpiffeUri:
    """Any SPIFFE ID. path: empty (the trust domain itself) or `/` and its segments."""

    trust_domain: str
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> SpiffeUri:
        """The ID in its one canonical spelling; nothing is normalised. Raises InvalidSpiffeId."""
        if len(text) > MAX_ID:
            raise InvalidSpiffeId(f"a SPIFFE ID has at most {MAX_ID} characters, not {len(text)}")
        if not text.startswith(_SCHEME):
            raise InvalidSpiffeId(f"{_shown(text)} does not start with {_SCHEME}")
        trust_domain, slash, path = text[len(_SCHEME) :].partition("/")
        check_trust_domain(trust_domain)
        for segment in path.split("/") if slash else ():
            _check_segment(segment, text)
        return cls(trust_domain, slash + path)

    def __str__(self) -> str:
        return f"{_SCHEME}{self.trust_domain}{self.path}"


@dataclass(frozen=True, slots=True, order=True)
class SpiffeId:
    """The ID of a workload here: `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`."""

    trust_domain: str
    namespace: str
    service_account: str

    def __post_init__(self) -> None:
        check_trust_domain(self.trust_domain)
        for segment in (self.namespace, self.service_account):
            _check_segment(segment, segment)
        if len(str(self)) > MAX_ID:
            raise InvalidSpiffeId(f"a SPIFFE ID has at most {MAX_ID} characters")

    @classmethod
    def parse(cls, text: str) -> SpiffeId:
        """The workload that `text` names. Raises InvalidSpiffeId, also for SPIFFE IDs of another form."""
        return cls.of(SpiffeUri.parse(text))

    @classmethod
    def of(cls, uri: SpiffeUri) -> SpiffeId:
        """The workload that a SPIFFE ID names. Raises InvalidSpiffeId for those of another form."""
        parts = uri.path.split("/")
        if len(parts) != 5 or parts[1] != "ns" or parts[3] != "sa":
            raise InvalidSpiffeId(
                f"{_shown(str(uri))} is not of the form /ns/<namespace>/sa/<service account>"
            )
        return cls(uri.trust_domain, parts[2], parts[4])

    @property
    def is_system(self) -> bool:
        """Whether this is a daemon or the operator."""
        return self.namespace == SYSTEM_NAMESPACE

    def __str__(self) -> str:
        return f"{_SCHEME}{self.trust_domain}/ns/{self.namespace}/sa/{self.service_account}"


def _check_segment(segment: str, whole: str) -> None:
    if segment in {".", ".."}:
        raise InvalidSpiffeId(f"{_shown(whole)} has a dot segment in its path")
    if not segment:
        raise InvalidSpiffeId(f"{_shown(whole)} has an empty path segment")
    if not _SEGMENT.fullmatch(segment):
        raise InvalidSpiffeId(f"{_shown(whole)}: path segments consist of letters, digits, '.', '_', '-'")


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 100 else text[:100] + "...")
