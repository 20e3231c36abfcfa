"""DNS names, e-mail addresses and URIs: what is one, and when two are the same.

As in Mixer, which asked Go's `idna`, `net/mail` and `net/url`: case of DNS names and of schemes and a final
dot do not count (RFC 4343, RFC 3986 section 6.2.2.1); ports and paths count as they are written.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, urlsplit

import idna

from artemon.expr.errors import EvaluationError

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+"
_ADDRESS = re.compile(
    rf'(?P<local>{_ATOM}(?:\.{_ATOM})*|"(?P<quoted>(?:[^"\\\r\n]|\\.)*)")@(?P<domain>{_ATOM}(?:\.{_ATOM})*)'
)
"""Local part and domain (RFC 5322 section 3.4.1; RFC 6532 for letters beyond ASCII)."""
_BROKEN = re.compile(r"%(?![0-9A-Fa-f]{2})")
_WEB = frozenset({"http", "https"})


def dns_name(text: str) -> str:
    """The name, checked label by label (IDNA 2008, STD 3 rules), in letters: `xn--` labels are read."""
    if not text or text == ".":
        raise EvaluationError(f"error converting '{text}' to dns name: 'idna: invalid label \"{text}\"'")
    labels = text.removesuffix(".").split(".")
    for label in labels:
        try:
            idna.encode(label, uts46=True, std3_rules=True)
        except (idna.IDNAError, UnicodeError) as error:
            reason = f'idna: invalid label "{label}"'
            raise EvaluationError(f"error converting '{text}' to dns name: '{reason}'") from error
    read = (idna.decode(one) if one.lower().startswith("xn--") else one for one in labels)
    return ".".join(read) + ("." if text.endswith(".") else "")


def email(text: str) -> str:
    """The address as it is; without a display name."""
    bare = _bare(text)
    if not text.strip():
        raise EvaluationError(f"error converting '{text}' to e-mail: 'mail: no address'")
    found = _ADDRESS.fullmatch(bare)
    if found is None:
        reason = (
            "display names are not allowed" if "<" in bare else "'mail: not an address such as name@host'"
        )
        raise EvaluationError(f"error converting '{text}' to e-mail: {reason}")
    try:
        dns_name(found["domain"])
    except EvaluationError as error:
        raise EvaluationError(f"error converting '{text}' to e-mail: '{error}'") from error
    return text


def _bare(text: str) -> str:
    """`<me@example.com>` without its brackets."""
    text = text.strip()
    return text[1:-1] if text.startswith("<") and text.endswith(">") else text


def uri(text: str) -> str:
    """The URI as it is."""
    if not text:
        raise EvaluationError("error converting string to uri: empty string")
    try:
        parts = _split(text)
        parts.port  # noqa: B018 reading it checks it
    except ValueError as error:
        raise EvaluationError(f"error converting string to uri '{text}': '{error}'") from error
    if reason := _fault(text, parts):
        raise EvaluationError(f"error converting string to uri '{text}': 'parse {text}: {reason}'")
    return text


def _split(text: str) -> SplitResult:
    # A zone (RFC 6874: `%25eth0`) is no part of the address that Python checks.
    return urlsplit(re.sub(r"^([^/?#]*//[^/?#]*\[[0-9A-Fa-f:.]+)%25[^\]/?#]+\]", r"\1]", text))


def _fault(text: str, parts: SplitResult) -> str:
    if re.search(r"[\x00-\x1f\x7f]", text):
        return "invalid control character in URL"
    if text.startswith(":"):
        return "missing protocol scheme"
    if not parts.scheme and not parts.netloc and ":" in text.partition("?")[0].partition("/")[0]:
        return "first path segment in URL cannot contain colon"
    if " " in parts.netloc:
        return 'invalid character " " in host name'
    if any(_BROKEN.search(one) for one in (parts.netloc, parts.path, parts.fragment)):
        return "invalid URL escape"
    return ""


def same_name(name: Any) -> Any:
    """What counts of a DNS name."""
    if not name:
        return ""
    dns_name(name)
    return idna.uts46_remap(idna.decode(name.removesuffix("."), uts46=True), std3_rules=True)


def same_email(address: Any) -> Any:
    """What counts of an e-mail address."""
    found = _ADDRESS.fullmatch(_bare(email(str(address))))
    assert found is not None
    quoted = found["quoted"]
    local = found["local"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
    return local, same_name(found["domain"])


def same_uri(text: Any) -> Any:
    """What counts of a URI."""
    parts = _split(uri(text))
    if parts.scheme not in _WEB:
        return parts
    user = parts.netloc.rpartition("@")[0]
    return (
        parts.scheme,
        user,
        _host(parts.hostname or ""),
        parts.port,
        parts.path,
        parts.query,
        parts.fragment,
    )


def _host(host: str) -> Any:
    try:
        return ip_address(host)
    except ValueError:
        return same_name(host)
