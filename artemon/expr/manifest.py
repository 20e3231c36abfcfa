"""Which attributes there are, and of what type."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from artemon.errors import Problem, Refused
from artemon.expr.values import Value, ValueType, read_value

Manifest = Mapping[str, ValueType]
"""Name of an attribute -> its type."""

_T = ValueType
_WORKLOAD = (
    "uid",
    "name",
    "namespace",
    "principal",
    "owner",
    "workload.uid",
    "workload.name",
    "workload.namespace",
)


def _named(prefix: str, kind: ValueType, *names: str) -> dict[str, ValueType]:
    return {f"{prefix}.{name}": kind for name in names}


VOCABULARY: Manifest = MappingProxyType(
    {
        **_named("source", _T.STRING, *_WORKLOAD, "user", "service"),
        **_named("destination", _T.STRING, *_WORKLOAD, "user", "service"),
        **_named("destination", _T.STRING, "container.name", "container.image"),
        **_named("destination.service", _T.STRING, "host", "uid", "name", "namespace"),
        **_named("origin", _T.STRING, "uid", "name", "namespace", "user"),
        **{f"{side}.ip": _T.IP_ADDRESS for side in ("source", "destination", "origin")},
        **{f"{side}.labels": _T.STRING_MAP for side in ("source", "destination")},
        "destination.port": _T.INT64,
        "source.port": _T.INT64,
        **_named(
            "request", _T.STRING, "id", "path", "url_path", "host", "method", "reason", "referer", "scheme"
        ),
        **_named("request", _T.STRING, "useragent", "api_key", "auth.principal", "auth.audiences"),
        **_named("request", _T.STRING, "auth.presenter", "auth.raw_claims"),
        **_named("request", _T.STRING_MAP, "headers", "query_params", "auth.claims"),
        **{f"{half}.{what}": _T.INT64 for half in ("request", "response") for what in ("size", "total_size")},
        **{f"{what}.time": _T.TIMESTAMP for what in ("request", "response", "context")},
        "response.headers": _T.STRING_MAP,
        "response.code": _T.INT64,
        "response.duration": _T.DURATION,
        **_named("response", _T.STRING, "grpc_status", "grpc_message"),
        **_named("connection", _T.STRING, "id", "event", "requested_server_name"),
        **_named("connection", _T.INT64, "received.bytes", "received.bytes_total"),
        **_named("connection", _T.INT64, "sent.bytes", "sent.bytes_total"),
        "connection.duration": _T.DURATION,
        "connection.mtls": _T.BOOL,
        **_named("context", _T.STRING, "protocol", "proxy_error_code", "proxy_version"),
        **_named("context.reporter", _T.STRING, "kind", "uid"),
        "context.reporter.local": _T.BOOL,
        "context.timestamp": _T.TIMESTAMP,
        **_named("api", _T.STRING, "service", "version", "operation", "protocol"),
        "check.error_code": _T.INT64,
        "check.error_message": _T.STRING,
        **{f"{what}.cache_hit": _T.BOOL for what in ("check", "quota")},
        **_named("rbac.permissive", _T.STRING, "response_code", "effective_policy_id"),
    }
)
"""What every mesh reports, under the names of Istio's attribute vocabulary."""


def read_manifest(objects: Iterable[Mapping[str, Any]]) -> Manifest:
    """The attributes that objects declare: an `attributemanifest`, or a plain map of names to types.

    Raises Refused with everything wrong at once.
    """
    problems: list[Problem] = []
    found: dict[str, ValueType] = {}
    for one in objects:
        for name, written in _declared(one):
            kind = (
                written.get("valueType", written.get("value_type"))
                if isinstance(written, Mapping)
                else written
            )
            try:
                found[name] = ValueType(kind)
            except ValueError:
                problems.append(Problem(name, f"{kind!r} is not a type; there are {', '.join(ValueType)}"))
    if problems:
        raise Refused(problems)
    return MappingProxyType(found)


def _declared(obj: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    inner = obj.get("spec", obj) if "kind" in obj else obj
    attributes = inner.get("attributes") if isinstance(inner, Mapping) else None
    yield from (attributes if isinstance(attributes, Mapping) else inner).items()


def read_attributes(manifest: Manifest, raw: Mapping[str, Any]) -> dict[str, Value]:
    """A bag of attributes from JSON; those that the manifest does not know are left out. Raises Refused."""
    problems: list[Problem] = []
    found: dict[str, Value] = {}
    for name, value in raw.items():
        kind = manifest.get(name)
        if kind is None or value is None:
            continue
        try:
            found[name] = read_value(kind, value)
        except ValueError as error:
            problems.append(Problem(name, f"must be {kind}: {error}"))
    if problems:
        raise Refused(problems)
    return found
