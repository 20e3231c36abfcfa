"""Which EnvoyFilters are for a proxy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from artemon.model.envoy_filter import EnvoyFilter
from artemon.model.proxy import Proxy
from artemon.model.resource import Resource
from artemon.model.selector import matches
from artemon.snapshot.memo import Memo

Filters = tuple[Resource[EnvoyFilter], ...]


def filters_for(by_namespace: Mapping[str, Filters], proxy: Proxy, root: str, memo: Memo) -> Filters:
    """Those of the root namespace and of the proxy's own that select it. The same ones are the same object.

    What is attached to something (`targetRefs`) is for no proxy here.
    """
    chosen = [
        one
        for namespace in dict.fromkeys((root, proxy.namespace))
        for one in by_namespace.get(namespace, ())
        if _selects(one.spec, proxy)
    ]
    return memo.get(_together, *chosen) if chosen else ()


def _selects(spec: EnvoyFilter, proxy: Proxy) -> bool:
    wanted = spec.workload_selector.labels if spec.workload_selector else {}
    return not spec.target_refs and matches(wanted, proxy.labels)


def _together(*filters: Any) -> Filters:
    return filters
