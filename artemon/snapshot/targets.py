"""What policies are attached to (`targetRef`, `targetRefs`), and whether a proxy is meant by it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from artemon.model.proxy import Proxy, ProxyType
from artemon.model.selector import PolicyTargetReference
from artemon.model.service import Service

GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name"
"""The label by which a proxy says which Gateway of the Gateway API it is."""


class Attached(Protocol):
    """A spec that may be attached to objects."""

    @property
    def target_ref(self) -> PolicyTargetReference | None: ...
    @property
    def target_refs(self) -> Sequence[PolicyTargetReference]: ...


def targets_of(spec: Attached) -> tuple[PolicyTargetReference, ...]:
    """All that it is attached to."""
    return (*spec.target_refs, *([spec.target_ref] if spec.target_ref else ()))


def is_target(target: PolicyTargetReference, namespace: str, proxy: Proxy, own: Iterable[Service]) -> bool:
    """A Service: the sidecars of those who serve it; a Gateway: the proxy that says so; of `namespace`."""
    if proxy.namespace != namespace:
        return False
    if target.kind == "Gateway":
        return proxy.type is ProxyType.ROUTER and proxy.labels.get(GATEWAY_NAME) == target.name
    served = (one for one in own if one.namespace == namespace)
    return target.kind == "Service" and any(one.host.partition(".")[0] == target.name for one in served)
