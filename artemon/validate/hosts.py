"""Host names as Istio takes them: FQDN, wildcard in the first label, `namespace/host`; which cover which."""

from __future__ import annotations

import re
from collections.abc import Sequence

from artemon.validate.addresses import is_ip
from artemon.validate.findings import Reason

_LABEL = r"[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?"
_DNS_LABEL = re.compile(_LABEL)
_WILDCARD_LABEL = re.compile(rf"\*|(\*|\*-)?{_LABEL}")
_NUMBER = re.compile(r"[-+]?[0-9]+")
_SNI_HOST = re.compile(r"outbound_\.[0-9]+_\..*")


def is_label(text: str) -> bool:
    """Whether `text` is one DNS label, in any case, at most 63 characters."""
    return len(text) <= 63 and _DNS_LABEL.fullmatch(text) is not None


def label(text: str) -> Reason:
    """Why `text` is not a DNS label."""
    return None if is_label(text) else f'"{text}" must have at most 63 letters, digits or "-"'


def _length(host: str) -> Reason:
    if not host:
        return "host must not be empty"
    return f'host "{host[:40]}..." has more than 255 characters' if len(host) > 255 else None


def _labels(host: str, whole: str) -> Reason:
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return f'host "{whole}" ends in "{labels[-1]}"; the last label must not be a number'
    if labels[-1] == "" and len(labels) > 1:
        labels.pop()
    bad = next((part for part in labels if not is_label(part)), None)
    return None if bad is None else f'"{bad}" in host "{whole}" is not a DNS label'


def fqdn(host: str) -> Reason:
    """Why `host` is not a host name (RFC 1123); one trailing dot is fine."""
    return _length(host) or _labels(host, host)


def wildcard_domain(host: str) -> Reason:
    """Why `host` is neither a host name nor one whose first label is `*`, `*x` or `*-x`."""
    too = _length(host)
    if too:
        return too
    first, dot, rest = host.partition(".")
    if len(first) > 63 or not _WILDCARD_LABEL.fullmatch(first):
        return f'"{first}" in host "{host}" is not a DNS label or wildcard'
    return _labels(rest, host) if dot else None


def gateway_bound_domain(host: str, *, sni: bool) -> Reason:
    """As `wildcard_domain`; with `sni`, also the names of clusters as SNI (`outbound_.80_.v1_.host`)."""
    if sni and host.startswith("outbound_."):
        return _length(host) or (
            None if _SNI_HOST.fullmatch(host) else f'host "{host}" is not outbound_.port_.subset_.host'
        )
    return wildcard_domain(host)


def partial_wildcard(host: str) -> Reason:
    """Why the wildcard in `host` is not a whole label (`*foo.com`)."""
    partial = "*" in host and host != "*" and not host.startswith("*.")
    return f'partial wildcard "{host}" is not allowed; write "*." and a domain' if partial else None


def scoped_host(host: str, *, gateway: bool, nobody: bool) -> list[str]:
    """What is wrong with `[namespace/]host` of a gateway, or `namespace/host` of a sidecar.

    nobody: whether the namespace may be `~`.
    """
    namespace, slash, name = host.partition("/")
    if not slash:
        return _scoped_name(host, gateway=True) if gateway else [f'"{host}" must be namespace/host']
    if not namespace or not name:
        return [f'"{host}" must have both a namespace and a host']
    found = []
    if namespace not in ({"*", ".", "~"} if nobody else {"*", "."}) and not is_label(namespace):
        found.append(f'"{namespace}" is not a namespace')
    return found + _scoped_name(name, gateway=gateway)


def _scoped_name(name: str, *, gateway: bool) -> list[str]:
    reasons: list[Reason] = []
    if name != "*" and "." not in name and not (gateway and is_ip(name)):
        reasons.append(f'short name "{name}" is not allowed; write the full host name')
    domain = wildcard_domain(name)
    reasons.append(None if gateway and is_ip(name) else domain)
    reasons.append(partial_wildcard(name))
    return [reason for reason in reasons if reason]


class Patterns:
    """Hosts and wildcards, asked quickly: which of them takes all that another one takes."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._exact: dict[str, int] = {}
        self._suffixes: dict[str, int] = {}
        for index, pattern in enumerate(patterns):
            if pattern.startswith("*"):
                self._suffixes.setdefault(pattern[1:], index)
            else:
                self._exact.setdefault(pattern, index)
        self._lengths = sorted({len(suffix) for suffix in self._suffixes})

    def covering(self, host: str, *, besides: int = -1) -> int | None:
        """The index of a pattern that matches all that `host` matches, `besides` left out."""
        wildcard = host.startswith("*")
        text = host.removeprefix("*")
        found = [] if wildcard else [self._exact.get(text)]
        found += [
            self._suffixes.get(text[len(text) - length :]) for length in self._lengths if length <= len(text)
        ]
        return next((index for index in found if index is not None and index != besides), None)
