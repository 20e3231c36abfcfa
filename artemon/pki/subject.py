"""The subject of a leaf: what telemetry is told of a workload.

`UID=<workload>/<app>/<version>/<canonical name>/<canonical revision>/<cluster>`. The workload says so
of itself: it is never used for authorization, which goes by the SPIFFE ID alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from cryptography import x509
from cryptography.x509.oid import NameOID

from artemon.pki.errors import CsrRefused

PARTS = 6
MAX_SUBJECT = 256
"""Characters that X.520 allows a user id."""
_PART = re.compile(r"[A-Za-z0-9._-]{0,63}")
_FOREIGN = re.compile(r"[^A-Za-z0-9._-]")
_NAMES = ("service.istio.io/canonical-name", "app.kubernetes.io/name", "app")
_REVISIONS = ("service.istio.io/canonical-revision", "app.kubernetes.io/version", "version")


def subject_text(workload: str, labels: Mapping[str, str], cluster: str) -> str:
    """The text for a workload with these labels, in a form that `check_subject` takes."""
    canonical = next((labels[name] for name in _NAMES if labels.get(name)), workload)
    revision = next((labels[name] for name in _REVISIONS if labels.get(name)), "latest")
    parts = (workload, labels.get("app", ""), labels.get("version", ""), canonical, revision, cluster)
    most = MAX_SUBJECT // PARTS - 1
    return "/".join(_FOREIGN.sub("_", part)[:most] for part in parts)


def check_subject(text: str) -> str:
    """`text`, if it can be the subject of a leaf; "" is none. Raises CsrRefused."""
    parts = text.split("/")
    fits = len(parts) == PARTS and all(_PART.fullmatch(part) for part in parts)
    if text and (len(text) > MAX_SUBJECT or not fits):
        raise CsrRefused(f"workload: must be {PARTS} parts of letters, digits, '.', '_', '-', joined by '/'")
    return text


def subject_name(text: str) -> x509.Name:
    """The subject; empty without text."""
    return x509.Name([x509.NameAttribute(NameOID.USER_ID, text)] if text else [])
