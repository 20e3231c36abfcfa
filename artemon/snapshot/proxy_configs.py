"""Which ProxyConfigs are for a proxy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from artemon.model.proxy import Proxy
from artemon.model.proxy_config import ProxyConfig
from artemon.model.resource import Resource
from artemon.model.selector import matches
from artemon.snapshot.memo import Memo

Configs = tuple[Resource[ProxyConfig], ...]


def configs_for(by_namespace: Mapping[str, Configs], proxy: Proxy, root: str, memo: Memo) -> Configs:
    """The weakest first: of the root namespace, of the proxy's own, of its workload (a selector); of several
    at one level the oldest counts most (Istio). The same ones are the same object."""
    own = by_namespace.get(proxy.namespace, ())
    everyone = by_namespace.get(root, ()) if root != proxy.namespace else ()
    levels = (
        (one for one in everyone if one.spec.selector is None),
        (one for one in own if one.spec.selector is None),
        (one for one in own if one.spec.selector and matches(one.spec.selector.match_labels, proxy.labels)),
    )
    chosen = [one for level in levels for one in reversed(tuple(level))]
    return memo.get(_together, *chosen) if chosen else ()


def _together(*configs: Any) -> Configs:
    return configs
