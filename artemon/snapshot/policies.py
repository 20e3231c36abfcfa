"""Which policies are for a proxy: who may ask what of it, and which tokens it takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from artemon.model import kinds
from artemon.model.authorization_policy import AuthorizationPolicy
from artemon.model.jwks_source import key_source
from artemon.model.mesh_config import MeshConfig
from artemon.model.mesh_providers import ExtensionProvider, provider_host
from artemon.model.proxy import Proxy, ProxyType
from artemon.model.rate_limit import RateLimit
from artemon.model.request_authentication import RequestAuthentication
from artemon.model.resource import Resource
from artemon.model.selector import PolicyTargetReference, matches
from artemon.model.service import Service
from artemon.snapshot.memo import Memo
from artemon.snapshot.view import NO_POLICIES, KeySets, Policies

GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name"
"""The label by which a proxy says which Gateway of the Gateway API it is."""

ByNamespace = Mapping[str, tuple[Resource[Any], ...]]
Spec = AuthorizationPolicy | RequestAuthentication | RateLimit


def policies_for(
    authorization: ByNamespace,
    authentication: ByNamespace,
    proxy: Proxy,
    *,
    limits: ByNamespace,
    own: Iterable[Service],
    services: Mapping[str, Service],
    mesh: MeshConfig,
    keys: KeySets,
    memo: Memo,
) -> Policies:
    """Those of the root namespace and of the proxy's own that select it. The same ones are the same object.

    Keys and authorizers are those that the policies name; one that is not known is not in the result.
    """
    chosen = [
        [one for one in _near(many, proxy, mesh.root_namespace) if _selects(one, proxy, own)]
        for many in (authorization, authentication, limits)
    ]
    if not any(chosen):
        return NO_POLICIES
    uris = {key_source(rule) for one in chosen[1] for rule in one.spec.jwt_rules if not rule.jwks}
    asked = {one.spec.provider.name for one in chosen[0] if one.spec.provider is not None}
    hosts = {one.name: _authorizer(one, services) for one in mesh.extension_providers if one.name in asked}
    hosts |= {counter_of(one.spec): _counter(one.spec, services) for one in chosen[2]}
    return memo.get(
        _together,
        *chosen[0],
        *chosen[1],
        *chosen[2],
        by=(
            (len(chosen[0]), len(chosen[0]) + len(chosen[1])),
            tuple((uri, keys[uri]) for uri in sorted(uris) if uri in keys),
            tuple((name, host) for name, host in sorted(hosts.items()) if host),
        ),
    )


def _near(many: ByNamespace, proxy: Proxy, root: str) -> list[Resource[Any]]:
    return [one for space in dict.fromkeys((root, proxy.namespace)) for one in many.get(space, ())]


def _selects(one: Resource[Any], proxy: Proxy, own: Iterable[Service]) -> bool:
    spec: Spec = one.spec
    if isinstance(spec, RateLimit):
        return matches(spec.selector.match_labels if spec.selector else {}, proxy.labels)
    targets = [*spec.target_refs, *([spec.target_ref] if spec.target_ref else ())]
    if targets:
        return any(_is_target(target, one.meta.namespace, proxy, own) for target in targets)
    return matches(spec.selector.match_labels if spec.selector else {}, proxy.labels)


def _is_target(target: PolicyTargetReference, namespace: str, proxy: Proxy, own: Iterable[Service]) -> bool:
    """A Service or ServiceEntry: the sidecars of those who serve it; a Gateway: the proxy that says so."""
    if proxy.namespace != namespace:
        return False
    if target.kind == "Gateway":
        return proxy.type is ProxyType.ROUTER and proxy.labels.get(GATEWAY_NAME) == target.name
    if target.kind == "Service":
        served = (one for one in own if one.namespace == namespace)
        return any(one.host.partition(".")[0] == target.name for one in served)
    if target.kind == "ServiceEntry":
        entry = f"{kinds.SERVICE_ENTRY.name}/{namespace}/{target.name}"
        return any(one.source == entry for one in own)
    return False


def _authorizer(provider: ExtensionProvider, services: Mapping[str, Service]) -> str:
    """The visible service of an external authorizer, "" where there is none with its port."""
    asked = provider.envoy_ext_authz_http or provider.envoy_ext_authz_grpc
    if asked is None:
        return ""
    namespace, host = provider_host(asked.service)
    service = services.get(host)
    if service is None or (namespace and service.namespace != namespace):
        return ""
    return host if any(port.number == asked.port for port in service.ports) else ""


def counter_of(spec: RateLimit) -> str:
    """What the service that counts for a RateLimit is called among `Policies.authorizers`."""
    return f"counts:{spec.service}:{spec.port}"


def _counter(spec: RateLimit, services: Mapping[str, Service]) -> str:
    service = services.get(spec.service)
    known = service is not None and any(port.number == spec.port for port in service.ports)
    return spec.service if known else ""


def _together(*parts: Any) -> Policies:
    *resources, (first, second), keys, authorizers = parts
    return Policies(
        authorization=tuple(resources[:first]),
        authentication=tuple(resources[first:second]),
        limits=tuple(resources[second:]),
        keys=dict(keys),
        authorizers=dict(authorizers),
    )
