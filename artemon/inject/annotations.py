"""The annotations that steer injection: which there are, what they may say, and which are refused.

What an annotation says ends up in arguments, environment and images of a container, so each has a form of
its own; everything else is refused with the reason (an annotation never carries YAML of a container).
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from artemon.errors import Problem
from artemon.inject import words
from artemon.inject.fields import MOUNT_FIELDS, VOLUME_FIELDS, unknown_keys
from artemon.inject.quantity import canonical

Check = Callable[[str], None]
"""Raises ValueError with what is wrong with a value."""

_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,511}")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
_LEVEL = "trace|debug|info|warning|warn|error|critical|off"
_COMPONENTS = re.compile(rf"[a-z0-9_]+:(?:{_LEVEL})(?:,[a-z0-9_]+:(?:{_LEVEL}))*")
_AGENT_LEVEL = "none|fatal|error|warn|info|debug"
_AGENT = re.compile(rf"(?:[A-Za-z0-9_-]+:)?(?:{_AGENT_LEVEL})(?:,(?:[A-Za-z0-9_-]+:)?(?:{_AGENT_LEVEL}))*")
_BOOLEANS = {"1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"}
_RETIRED: Final = 'was retired by Istio; say it in proxy.istio.io/config: "{}"'


def _matching(form: re.Pattern[str], example: str) -> Check:
    def check(text: str) -> None:
        if not form.fullmatch(text):
            raise ValueError(f'must be {example}, not "{text[:80]}"')

    return check


def _one_of(*known: str) -> Check:
    def check(text: str) -> None:
        if text not in known:
            raise ValueError(f'must be one of {", ".join(known)}, not "{text[:80]}"')

    return check


def boolean(text: str) -> None:
    """A boolean in one of the spellings of Go's strconv.ParseBool."""
    if text not in _BOOLEANS:
        raise ValueError(f'must be "true" or "false", not "{text[:80]}"')


def number(text: str) -> None:
    """A whole number of 32 bits without sign."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) < 2**32):
        raise ValueError(f'must be a whole number, not "{text[:80]}"')


def port(text: str) -> None:
    """A port, or 0."""
    if not (text.strip().isascii() and text.strip().isdecimal() and len(text) < 10 and int(text) < 2**16):
        raise ValueError(f'must be a port, not "{text[:80]}"')


def _ports(text: str) -> None:
    for part in text.split(",") if text.strip() else ():
        port(part)


def _ports_or_all(text: str) -> None:
    if text != "*":
        _ports(text)


def _ranges(text: str) -> None:
    for part in text.split(",") if text else ():
        try:
            if "/" not in part:
                raise ValueError
            ipaddress.ip_network(part, strict=False)
        except ValueError:
            raise ValueError(
                f'must be ranges such as 10.0.0.0/8, parted by commas; "{part[:80]}" is none'
            ) from None


def _ranges_or_all(text: str) -> None:
    if text != "*":
        _ranges(text)


def _words(text: str) -> None:
    for part in text.split(","):
        if not _WORD.fullmatch(part.strip()):
            raise ValueError(f'must be names parted by commas; "{part[:80]}" is none')


def _amount(text: str) -> None:
    canonical(text)


def _anything(text: str) -> None:
    if any(ord(letter) < 32 for letter in text):
        raise ValueError("must be one line")


def _parts(known: frozenset[str]) -> Check:
    def check(text: str) -> None:
        value = parsed(text)
        for name, part in value.items():
            if not isinstance(part, dict):
                raise ValueError(f'"{name}" must be an object')
            wrong = unknown_keys(part, known)
            if wrong:
                raise ValueError(f'"{name}" has no field {", ".join(wrong)} in Kubernetes')

    return check


def parsed(text: str) -> dict[str, object]:
    """The JSON object of an annotation. Raises ValueError."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"must be a JSON object: {error}") from error
    if isinstance(value, list):  # the form that older documents of Istio show
        value = {part["name"]: part for part in value if isinstance(part, dict) and "name" in part}
    if not isinstance(value, dict):
        raise ValueError("must be a JSON object of names to their settings")
    return value


def _json(text: str) -> None:
    parsed(text)


CHECKS: Final[Mapping[str, Check]] = {
    words.INJECT: _anything,
    words.TEMPLATES: _words,
    words.PROXY_CONFIG: lambda text: None,  # read, and refused where it is wrong, with the mesh's (proxy.py)
    words.OVERRIDES: _json,
    words.STATUS: lambda text: None,  # written by injection itself
    words.NATIVE: _one_of("true", "false"),
    words.BEFORE_PROXY: _words,
    words.INTERCEPTION: _one_of("REDIRECT", "TPROXY", "NONE"),
    words.REWRITE_PROBES: boolean,
    words.MERGE_METRICS: boolean,
    words.STATUS_PORT: port,
    words.INCLUDE_INBOUND: _ports_or_all,
    words.EXCLUDE_INBOUND: _ports,
    "traffic.sidecar.istio.io/includeOutboundPorts": _ports,
    "traffic.sidecar.istio.io/excludeOutboundPorts": _ports,
    "traffic.sidecar.istio.io/includeOutboundIPRanges": _ranges_or_all,
    "traffic.sidecar.istio.io/excludeOutboundIPRanges": _ranges,
    "traffic.sidecar.istio.io/excludeInterfaces": _words,
    "traffic.sidecar.istio.io/kubevirtInterfaces": _words,
    "istio.io/reroute-virtual-interfaces": _words,
    "readiness.status.sidecar.istio.io/initialDelaySeconds": number,
    "readiness.status.sidecar.istio.io/periodSeconds": number,
    "readiness.status.sidecar.istio.io/failureThreshold": number,
    "readiness.status.sidecar.istio.io/applicationPorts": _ports,
    "sidecar.istio.io/proxyImage": _matching(_IMAGE, "an image reference"),
    "sidecar.istio.io/proxyImageType": _matching(_WORD, "the type of an image, such as distroless"),
    "sidecar.istio.io/proxyCPU": _amount,
    "sidecar.istio.io/proxyCPULimit": _amount,
    "sidecar.istio.io/proxyMemory": _amount,
    "sidecar.istio.io/proxyMemoryLimit": _amount,
    "sidecar.istio.io/logLevel": _matching(
        re.compile(rf"(?:{_LEVEL})"), "a log level of Envoy, such as warning"
    ),
    "sidecar.istio.io/componentLogLevel": _matching(_COMPONENTS, "levels by component, such as misc:error"),
    "sidecar.istio.io/agentLogLevel": _matching(_AGENT, "levels by scope, such as default:info"),
    "sidecar.istio.io/enableCoreDump": boolean,
    "sidecar.istio.io/capNetBindService": boolean,
    "sidecar.istio.io/bootstrapOverride": _matching(_WORD, "the name of a ConfigMap"),
    "sidecar.istio.io/userVolume": _parts(VOLUME_FIELDS),
    "sidecar.istio.io/userVolumeMount": _parts(MOUNT_FIELDS),
    "sidecar.istio.io/extraStatTags": _words,
    "sidecar.istio.io/statsInclusionPrefixes": _anything,
    "sidecar.istio.io/statsInclusionSuffixes": _anything,
    "sidecar.istio.io/statsInclusionRegexps": _anything,
    "sidecar.istio.io/statsHistogramBuckets": _json,
    "sidecar.istio.io/statsEvictionInterval": _anything,
    "sidecar.istio.io/statsCompression": boolean,
}
"""Annotation -> what its value must be.

Those of statistics have no effect: they are the mesh's to say.
"""

REFUSED: Final[Mapping[str, str]] = {
    "sidecar.istio.io/discoveryAddress": _RETIRED.format("discoveryAddress: ..."),
    "sidecar.istio.io/controlPlaneAuthPolicy": _RETIRED.format("controlPlaneAuthPolicy: ..."),
}
"""Annotations that are refused whatever they say."""

_OURS = (
    "sidecar.istio.io/",
    "inject.istio.io/",
    "traffic.sidecar.istio.io/",
    "proxy.istio.io/",
    "status.sidecar.istio.io/",
    "readiness.status.sidecar.istio.io/",
)


def annotation_problems(annotations: Mapping[str, str]) -> list[Problem]:
    """Every annotation that says what it must not say; each path names the annotation."""
    return list(_problems(annotations))


def _problems(annotations: Mapping[str, str]) -> Iterator[Problem]:
    for name, value in annotations.items():
        where = f'metadata.annotations["{name}"]'
        if name in REFUSED:
            yield Problem(where, REFUSED[name])
        elif name in CHECKS:
            try:
                CHECKS[name](value)
            except ValueError as error:
                yield Problem(where, str(error))
        elif name.startswith(_OURS):
            yield Problem(where, "is not an annotation of injection and has no effect", "warning")
