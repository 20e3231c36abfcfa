"""Which EnvoyFilters are for a proxy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from artemon.model.envoy_filter import EnvoyFilter
from artemon.model.proxy import Proxy, ProxyType
from artemon.model.resource import Resource
from artemon.model.selector import PolicyTargetReference, matches
from artemon.snapshot.memo import Memo

_GATEWAY_API = "gateway.networking.k8s.io"
_LABELS = {
    (_GATEWAY_API, "Gateway"): f"{_GATEWAY_API}/gateway-name",
    (_GATEWAY_API, "GatewayClass"): f"{_GATEWAY_API}/gateway-class-name",
}
"""What can be attached to -> the label of proxies that tells."""

Filters = tuple[Resource[EnvoyFilter], ...]


def filters_for(by_namespace: Mapping[str, Filters], proxy: Proxy, root: str, memo: Memo) -> Filters:
    """Those of the root namespace and of the proxy's own that select it. The same ones are the same object.

    What is attached to a Gateway of the Gateway API (`targetRefs`) is for its proxies alone; services are
    attached to waypoints, of which there are none.
    """
    chosen = [
        one
        for namespace in dict.fromkeys((root, proxy.namespace))
        for one in by_namespace.get(namespace, ())
        if _selects(one.spec, proxy)
    ]
    return memo.get(_together, *chosen) if chosen else ()


def _selects(spec: EnvoyFilter, proxy: Proxy) -> bool:
    if spec.target_refs:
        return any(_is_target(one, proxy) for one in spec.target_refs)
    wanted = spec.workload_selector.labels if spec.workload_selector else {}
    return matches(wanted, proxy.labels)


def _is_target(target: PolicyTargetReference, proxy: Proxy) -> bool:
    """Whether a proxy serves a Gateway of the Gateway API, or one of its class, as its labels say."""
    label = _LABELS.get((target.group, target.kind))
    return proxy.type is ProxyType.ROUTER and label is not None and proxy.labels.get(label) == target.name


def _together(*filters: Any) -> Filters:
    return filters
