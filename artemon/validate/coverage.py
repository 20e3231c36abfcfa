"""What is accepted but not translated into Envoy's configuration: said at apply, never kept silent.

The table names the fields that are translated; everything else that was written gets a warning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from artemon.errors import Problem
from artemon.model import kinds
from artemon.model.message import Message
from artemon.model.resource import Resource
from artemon.model.words import path_of

MESSAGE = "accepted, but not translated yet by this version"

Fields = Mapping[str, Any]
"""Wire name -> ALL (it and all below), a table of what is translated below, or a set of translated values."""
ALL = True

_MATCH: Fields = dict.fromkeys(
    (
        "name",
        "uri",
        "headers",
        "method",
        "authority",
        "scheme",
        "queryParams",
        "withoutHeaders",
        "port",
        "sourceLabels",
        "sourceNamespace",
        "gateways",
        "ignoreUriCase",
    ),
    ALL,
)
_HTTP: Fields = {
    **dict.fromkeys(
        ("name", "route", "timeout", "retries", "rewrite", "redirect", "directResponse", "headers"), ALL
    ),
    "match": _MATCH,
}
_L4_MATCH: Fields = dict.fromkeys(("sniHosts", "port", "gateways", "sourceLabels", "sourceNamespace"), ALL)
_L4: Fields = {"match": _L4_MATCH, "route": ALL}

_PORT_POLICY: Fields = {
    "port": ALL,
    "loadBalancer": {"simple": ALL, "consistentHash": ALL},
    "connectionPool": ALL,
    "outlierDetection": ALL,
    "tls": ALL,
}
_POLICY: Fields = {**_PORT_POLICY, "portLevelSettings": _PORT_POLICY}

_SERVER_TLS: Fields = {
    **dict.fromkeys(
        (
            "httpsRedirect",
            "serverCertificate",
            "privateKey",
            "caCertificates",
            "credentialName",
            "subjectAltNames",
            "minProtocolVersion",
            "maxProtocolVersion",
            "cipherSuites",
        ),
        ALL,
    ),
    "mode": {"SIMPLE", "MUTUAL", "ISTIO_MUTUAL"},
}
_GATEWAY_PORT: Fields = {
    "number": ALL,
    "name": ALL,
    "protocol": {"HTTP", "HTTP2", "GRPC", "GRPC-WEB", "TLS", "HTTPS"},
}

TRANSLATED: Mapping[str, Fields] = MappingProxyType(
    {
        kinds.VIRTUAL_SERVICE.name: {
            "hosts": ALL,
            "gateways": ALL,
            "exportTo": ALL,
            "http": _HTTP,
            "tls": _L4,
            "tcp": _L4,
        },
        kinds.DESTINATION_RULE.name: {
            "host": ALL,
            "exportTo": ALL,
            "trafficPolicy": _POLICY,
            "subsets": {"name": ALL, "labels": ALL, "trafficPolicy": _POLICY},
        },
        kinds.GATEWAY.name: {
            "selector": ALL,
            "servers": {"hosts": ALL, "name": ALL, "bind": ALL, "port": _GATEWAY_PORT, "tls": _SERVER_TLS},
        },
        kinds.SERVICE_ENTRY.name: dict.fromkeys(
            (
                "hosts",
                "addresses",
                "ports",
                "location",
                "resolution",
                "endpoints",
                "workloadSelector",
                "exportTo",
                "subjectAltNames",
            ),
            ALL,
        ),
        kinds.WORKLOAD_ENTRY.name: dict.fromkeys(
            ("address", "ports", "labels", "network", "locality", "weight", "serviceAccount"), ALL
        ),
        kinds.SIDECAR.name: dict.fromkeys(
            ("workloadSelector", "ingress", "egress", "outboundTrafficPolicy"), ALL
        ),
        kinds.PEER_AUTHENTICATION.name: dict.fromkeys(("selector", "mtls", "portLevelMtls"), ALL),
    }
)
"""Kind -> the fields of its spec that are translated; a kind that is absent is not translated at all."""


def untranslated(resource: Resource[Message]) -> list[Problem]:
    """A warning for each field that was written and has no effect yet, or one for the whole kind."""
    fields = TRANSLATED.get(resource.kind.name)
    if fields is None:
        return [Problem("", f"{resource.kind.name}: {MESSAGE}", "warning")]
    return list(_missing(resource.spec, fields, ("spec",)))


def _missing(value: Any, known: Any, path: tuple[str | int, ...]) -> Iterator[Problem]:
    if known is ALL:
        return
    if isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _missing(item, known, (*path, index))
    elif isinstance(value, BaseModel):
        for name in (name for name in type(value).model_fields if name in value.model_fields_set):
            wire = type(value).model_fields[name].alias or name
            inner = getattr(value, name)
            if wire in known:
                yield from _missing(inner, known[wire], (*path, wire))
            elif inner is not None:
                yield Problem(path_of((*path, wire)), MESSAGE, "warning")
    elif isinstance(value, str) and value.upper() not in known:
        yield Problem(path_of(path), f"{value}: {MESSAGE}", "warning")
