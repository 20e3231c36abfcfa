"""What a proxy reports: the Telemetry objects of mesh, namespace and workload, merged (Istio's rules).

Of each level one object counts, the oldest. Lower levels add to what is above them: whoever names providers
replaces them, whoever does not speaks of those that are there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from artemon.model.mesh_config import MeshConfig
from artemon.model.mesh_providers import ExtensionProvider
from artemon.model.proxy import Proxy
from artemon.model.resource import Resource
from artemon.model.selector import matches
from artemon.model.service import Service
from artemon.model.telemetry import (
    METRICS,
    AccessLogging,
    Metrics,
    MetricSelector,
    MetricsOverrides,
    ProviderRef,
    Telemetry,
    Tracing,
    TracingCustomTag,
    standard_metric,
)
from artemon.snapshot.memo import Memo
from artemon.snapshot.providers import provided_by
from artemon.snapshot.targets import is_target, targets_of

CLIENT, SERVER = "CLIENT", "SERVER"
ALL = "ALL_METRICS"
Tags = tuple[tuple[str, str], ...]
"""Label -> expression; an empty one takes the label away."""


@dataclass(frozen=True, slots=True)
class Spans:
    """How requests are traced. sampling: percent, None for the default. off: nothing is sent. istio_tags:
    whether spans tell whose they are in Istio's tags."""

    provider: str = ""
    sampling: float | None = None
    off: bool = False
    tags: tuple[tuple[str, TracingCustomTag], ...] = ()
    by_request_id: bool = True
    istio_tags: bool = True


@dataclass(frozen=True, slots=True)
class Direction:
    """What is reported of traffic that goes out, or comes in.

    metrics: names of those that are counted, with changed labels. logs: providers and filter expressions.
    """

    metrics: tuple[tuple[str, Tags], ...] = tuple((name, ()) for name in METRICS.values())
    logs: tuple[tuple[str, str], ...] = ()
    spans: Spans = Spans()


@dataclass(frozen=True, slots=True)
class Reports:
    """All of it. configured_logs: whether a Telemetry or a default provider decides of access logs, not
    `accessLogFile`. hosts: providers -> host of their visible service."""

    client: Direction = Direction()
    server: Direction = Direction()
    configured_logs: bool = False
    hosts: tuple[tuple[str, str], ...] = ()

    def host(self, provider: str) -> str:
        """Where a provider is, "" where it is not seen."""
        return dict(self.hosts).get(provider, "")


NO_REPORTS = Reports()
ByNamespace = Mapping[str, tuple[Resource[Telemetry], ...]]


def reports_for(
    telemetries: ByNamespace,
    proxy: Proxy,
    *,
    own: Iterable[Service],
    services: Mapping[str, Service],
    mesh: MeshConfig,
    memo: Memo,
) -> Reports:
    """What a proxy reports. The same for proxies of the same objects, as one object."""
    shared = telemetries.get(mesh.root_namespace, ()) if proxy.namespace != mesh.root_namespace else ()
    wide = [one for one in shared if not _is_narrow(one.spec)]
    chosen = [*wide[:1], *_level(telemetries.get(proxy.namespace, ()), proxy, own)]
    found = {one.name: _host(one, services) for one in mesh.extension_providers}
    hosts = tuple((name, host) for name, host in found.items() if host)
    return memo.get(_merged, mesh, *chosen, by=(hosts,))


def _level(
    many: Sequence[Resource[Telemetry]], proxy: Proxy, own: Iterable[Service]
) -> list[Resource[Telemetry]]:
    """The object for all of a namespace, then the one for the workload, which is of the same namespace: one
    of the root namespace with a selector is for workloads there."""
    wide = [one for one in many if not _is_narrow(one.spec)]
    narrow = [one for one in many if _is_narrow(one.spec) and _selects(one, proxy, own)]
    return [*wide[:1], *narrow[:1]]


def _is_narrow(spec: Telemetry) -> bool:
    return bool(targets_of(spec) or (spec.selector and spec.selector.match_labels))


def _selects(one: Resource[Telemetry], proxy: Proxy, own: Iterable[Service]) -> bool:
    spec = one.spec
    if targets := targets_of(spec):
        return any(is_target(each, one.meta.namespace, proxy, own) for each in targets)
    return matches(spec.selector.match_labels if spec.selector else {}, proxy.labels)


def _host(provider: ExtensionProvider, services: Mapping[str, Service]) -> str:
    asked = (
        provider.zipkin or provider.opentelemetry or provider.envoy_http_als or provider.envoy_tcp_als
    ) or provider.envoy_otel_als
    return provided_by(asked, services)


def _merged(mesh: MeshConfig, *parts: Any) -> Reports:
    *objects, hosts = parts
    specs: list[Telemetry] = [one.spec for one in objects]
    logs = [entry for spec in specs for entry in spec.access_logging]
    client, server = (
        Direction(_metrics(specs, mesh, mode), _logs(specs, mesh, mode), _spans(specs, mesh, mode))
        for mode in (CLIENT, SERVER)
    )
    configured = bool(logs or mesh.default_providers.access_logging)
    return Reports(client, server, configured, hosts)


def _speaks_of(match: Any, mode: str) -> bool:
    return match is None or match.mode in ("CLIENT_AND_SERVER", mode)


def _names(providers: Iterable[ProviderRef]) -> tuple[str, ...]:
    return tuple(one.name for one in providers)


def _named(entries: Iterable[Metrics | AccessLogging | Tracing]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for entry in entries for name in _names(entry.providers)))


def _logs(specs: Sequence[Telemetry], mesh: MeshConfig, mode: str) -> tuple[tuple[str, str], ...]:
    current: dict[str, str] = dict.fromkeys(mesh.default_providers.access_logging, "")
    for spec in specs:
        named = _named(spec.access_logging)
        if named:
            current = {name: current[name] for name in named if name in current}
        inherited = tuple(current)
        for entry in spec.access_logging:
            if not _speaks_of(entry.match, mode):
                continue
            for name in _names(entry.providers) or inherited:
                if entry.disabled:
                    current.pop(name, None)
                elif entry.filter is not None or name not in current:
                    current[name] = entry.filter.expression if entry.filter else ""
    return tuple(current.items())


@dataclass(slots=True)
class _Metric:
    on: bool = True
    tags: dict[str, str] = field(default_factory=dict)


def _metrics(specs: Sequence[Telemetry], mesh: MeshConfig, mode: str) -> tuple[tuple[str, Tags], ...]:
    named = next((found for spec in reversed(specs) if (found := _named(spec.metrics))), None)
    providers = mesh.default_providers.metrics if named is None else named
    known = {one.name for one in mesh.extension_providers if one.prometheus is not None}
    ours = known & set(providers)
    if not ours:
        return ()
    current = {kind: _Metric() for kind in METRICS}
    for entry in (entry for spec in specs for entry in spec.metrics):
        if not entry.providers or ours & set(_names(entry.providers)):
            for override in entry.overrides:
                _override(current, override, mode)
    return tuple((METRICS[kind], tuple(one.tags.items())) for kind, one in current.items() if one.on)


def _override(current: Mapping[str, _Metric], override: MetricsOverrides, mode: str) -> None:
    match = override.match
    if not _speaks_of(match, mode):
        return
    for kind in _asked(match):
        if override.disabled is not None:
            current[kind].on = not override.disabled
        for name, tag in override.tag_overrides.items():
            if name:
                current[kind].tags[name] = tag.value if tag.operation == "UPSERT" else ""


def _asked(match: MetricSelector | None) -> Iterable[str]:
    """Which metrics are meant. A custom one may be called as the proxy shows it."""
    if match is not None and match.custom_metric is not None:
        custom = standard_metric(match.custom_metric)
        return (custom,) if custom else ()
    return (match.metric,) if match is not None and match.metric and match.metric != ALL else METRICS


def _spans(specs: Sequence[Telemetry], mesh: MeshConfig, mode: str) -> Spans:
    defaults = mesh.default_config.tracing
    out = Spans(
        provider=next(iter(mesh.default_providers.tracing), ""),
        sampling=(defaults.sampling or None) if defaults else None,
        tags=tuple(defaults.custom_tags.items()) if defaults else (),
        istio_tags=not defaults or defaults.enable_istio_tags is not False,
    )
    for entry in (spec.tracing[0] for spec in specs if spec.tracing):
        if not _speaks_of(entry.match, mode):
            continue
        named = _names(entry.providers)
        changes: dict[str, Any] = {
            "provider": named[0] if named else None,
            "sampling": entry.random_sampling_percentage,
            "off": entry.disable_span_reporting,
            "tags": tuple(entry.custom_tags.items()) or None,
            "by_request_id": entry.use_request_id_for_trace_sampling,
            "istio_tags": entry.enable_istio_tags,
        }
        out = replace(out, **{name: value for name, value in changes.items() if value is not None})
    return out
