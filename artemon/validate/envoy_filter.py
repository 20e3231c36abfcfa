"""Rules of EnvoyFilter (Istio `ValidateEnvoyFilter`)."""

from __future__ import annotations

from dataclasses import replace

from artemon.model.envoy_filter import (
    ALLOW_PROTECTED,
    OPERATIONS,
    EnvoyFilter,
    EnvoyFilterEnvoyConfigObjectMatch,
    EnvoyFilterEnvoyConfigObjectPatch,
    EnvoyFilterListenerMatch,
)
from artemon.model.filter_names import MANAGER, NOW_CALLED
from artemon.model.resource import Resource
from artemon.model.words import path_of
from artemon.validate.amounts import port
from artemon.validate.context import Context, EnvoyParser
from artemon.validate.findings import Problems, error, warning, wrong
from artemon.validate.scope import labels_selector, targets
from artemon.validate.texts import regex

_LISTENER, _ROUTE, _CLUSTER = "listener", "route_configuration", "cluster"
_MATCHED_BY = {
    "LISTENER": _LISTENER,
    "FILTER_CHAIN": _LISTENER,
    "NETWORK_FILTER": _LISTENER,
    "HTTP_FILTER": _LISTENER,
    "LISTENER_FILTER": _LISTENER,
    "ROUTE_CONFIGURATION": _ROUTE,
    "VIRTUAL_HOST": _ROUTE,
    "HTTP_ROUTE": _ROUTE,
    "CLUSTER": _CLUSTER,
}
_WIRE = {_LISTENER: "listener", _ROUTE: "routeConfiguration", _CLUSTER: "cluster"}


class _Selected:
    """An EnvoyFilter as a thing with targets: its workload selector is checked on its own."""

    selector = None

    def __init__(self, spec: EnvoyFilter) -> None:
        self.target_refs = spec.target_refs


def envoy_filter(resource: Resource[EnvoyFilter], context: Context) -> Problems:
    """What is wrong with one EnvoyFilter; values are read as Envoy messages when the context can."""
    spec = resource.spec
    yield from labels_selector(spec.workload_selector)
    if spec.workload_selector is not None and spec.target_refs:
        yield error("spec", "only one of workloadSelector and targetRefs may be set")
    yield from targets(
        _Selected(spec), namespace=resource.meta.namespace, root_namespace=context.root_namespace
    )
    meta = resource.meta
    if ALLOW_PROTECTED in meta.annotations and meta.namespace != context.root_namespace:
        place = path_of((ALLOW_PROTECTED,), "metadata.annotations")
        yield warning(place, f"has no effect outside the root namespace {context.root_namespace}")
    for index, patch in enumerate(spec.config_patches):
        yield from _patch(patch, f"spec.configPatches[{index}]", parse=context.parse_envoy)


def _patch(entry: EnvoyFilterEnvoyConfigObjectPatch, path: str, *, parse: EnvoyParser | None) -> Problems:
    if entry.apply_to == "INVALID":
        yield error(f"{path}.applyTo", "is required")
    if entry.match is not None:
        yield from _match(entry.match, path, apply_to=entry.apply_to)
    patch = entry.patch
    if patch is None:
        yield error(f"{path}.patch", "is required")
        return
    if patch.operation == "INVALID":
        yield error(f"{path}.patch.operation", "is required")
        return
    if entry.apply_to in OPERATIONS and patch.operation not in OPERATIONS[entry.apply_to]:
        yield warning(f"{path}.patch.operation", f"{patch.operation} has no effect with {entry.apply_to}")
    if patch.operation != "REMOVE" and patch.value is None:
        yield error(f"{path}.patch.value", f"is required for {patch.operation}")
    elif patch.value is not None and parse is not None:
        for problem in parse(entry.apply_to, patch.value):
            yield replace(problem, path=f"{path}.patch.value")


def _match(match: EnvoyFilterEnvoyConfigObjectMatch, path: str, *, apply_to: str) -> Problems:
    where = f"{path}.match"
    if match.proxy is not None and match.proxy.proxy_version:
        yield from wrong(f"{where}.proxy.proxyVersion", regex(match.proxy.proxy_version))
    written = [name for name in (_LISTENER, _ROUTE, _CLUSTER) if getattr(match, name) is not None]
    if match.waypoint is not None and match.context != "WAYPOINT":
        yield error(f"{where}.waypoint", "needs context: WAYPOINT")
    if match.context == "WAYPOINT" and written:
        yield error(f"{where}.{_WIRE[written[0]]}", "cannot be used with context: WAYPOINT; use waypoint")
    if match.waypoint is not None and match.waypoint.port_number:
        yield from wrong(f"{where}.waypoint.portNumber", port(match.waypoint.port_number))
    wanted = _MATCHED_BY.get(apply_to)
    for name in written:
        if wanted and name != wanted:
            yield error(f"{where}.{_WIRE[name]}", f"{apply_to} is matched by {_WIRE[wanted]}")
    if match.listener is not None and wanted == _LISTENER:
        yield from _listener(match.listener, f"{where}.listener", apply_to=apply_to)


def _listener(match: EnvoyFilterListenerMatch, path: str, *, apply_to: str) -> Problems:
    named = match.filter_chain.filter if match.filter_chain else None
    if named is None:
        return
    where = f"{path}.filterChain.filter"
    if apply_to in {"LISTENER", "FILTER_CHAIN"}:
        yield warning(where, f"has no effect with {apply_to}")
    if not named.name:
        yield error(f"{where}.name", "is required")
        return
    yield from _old_name(named.name, f"{where}.name")
    if named.sub_filter is None:
        return
    if apply_to != "HTTP_FILTER":
        yield error(f"{where}.subFilter", "is for HTTP_FILTER only")
    elif NOW_CALLED.get(named.name, named.name) != MANAGER:
        yield error(f"{where}.subFilter", f"needs the filter {MANAGER}")
    elif not named.sub_filter.name:
        yield error(f"{where}.subFilter.name", "is required")
    else:
        yield from _old_name(named.sub_filter.name, f"{where}.subFilter.name")


def _old_name(name: str, path: str) -> Problems:
    if name in NOW_CALLED:
        yield warning(path, f"is the old name of {NOW_CALLED[name]}")
