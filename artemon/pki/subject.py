"""The subject of a leaf: what telemetry is told of a workload.

`UID=<workload>/<app>/<version>/<canonical name>/<canonical revision>/<cluster>`. The workload says so
of itself: it is never used for authorization, which goes by the SPIFFE ID alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from cryptography import x509
from cryptography.x509.oid import NameOID

from artemon.model.canonical import canonical_name, canonical_revision
from artemon.pki.errors import CsrRefused

MAX_SUBJECT = 256
"""Characters that X.520 allows a user id."""
_PART = re.compile(r"[A-Za-z0-9._-]{0,63}")
_FOREIGN = re.compile(r"[^A-Za-z0-9._-]")
_UID = re.compile(r"(?:^|,)UID=([^,+]*)")


class Subject(NamedTuple):
    """The parts of the text."""

    workload: str
    app: str
    version: str
    canonical_service: str
    canonical_revision: str
    cluster: str


PARTS = len(Subject._fields)


def subject_text(workload: str, labels: Mapping[str, str], cluster: str) -> str:
    """The text for a workload with these labels, in a form that `check_subject` takes."""
    canonical = canonical_name(workload, labels), canonical_revision(labels)
    parts = (workload, labels.get("app", ""), labels.get("version", ""), *canonical, cluster)
    most = MAX_SUBJECT // PARTS - 1
    return "/".join(_FOREIGN.sub("_", part)[:most] for part in parts)


def read_subject(text: str) -> Subject | None:
    """The parts of a text that `subject_text` made; None of any other."""
    parts = text.split("/")
    return Subject(*parts) if len(parts) == PARTS else None


def text_in(name: str) -> str:
    """The text in a subject as Envoy shows it (RFC 2253); "" without one."""
    found = _UID.search(name)
    return found[1] if found else ""


def check_subject(text: str) -> str:
    """`text`, if it can be the subject of a leaf; "" is none. Raises CsrRefused."""
    parts = text.split("/")
    fits = len(parts) == PARTS and all(_PART.fullmatch(part) for part in parts)
    if text and (len(text) > MAX_SUBJECT or not fits):
        raise CsrRefused(f"workload: must be {PARTS} parts of letters, digits, '.', '_', '-', joined by '/'")
    return text


@lru_cache(maxsize=1024)
def subject_name(text: str) -> x509.Name:
    """The subject; empty without text."""
    return x509.Name([x509.NameAttribute(NameOID.USER_ID, text)] if text else [])
