"""Which policies are for a proxy: who may ask what of it, and which tokens it takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from artemon.model import kinds
from artemon.model.authorization_policy import AuthorizationPolicy
from artemon.model.jwks_source import key_source
from artemon.model.mesh_config import MeshConfig
from artemon.model.proxy import Proxy
from artemon.model.rate_limit import MIXERD, MIXERD_PORT, RateLimit
from artemon.model.request_authentication import RequestAuthentication
from artemon.model.resource import Resource
from artemon.model.selector import PolicyTargetReference, matches
from artemon.model.service import Service
from artemon.snapshot.checks import AskedRules
from artemon.snapshot.memo import Memo
from artemon.snapshot.providers import provided_by, seen
from artemon.snapshot.targets import is_target, targets_of
from artemon.snapshot.view import NO_POLICIES, KeySets, Policies

MIXERD_ASKED = "checks"
"""What mixerd is called among `Policies.authorizers` where it is asked about requests."""
ByNamespace = Mapping[str, tuple[Resource[Any], ...]]
Spec = AuthorizationPolicy | RequestAuthentication | RateLimit


def policies_for(
    authorization: ByNamespace,
    authentication: ByNamespace,
    proxy: Proxy,
    *,
    limits: ByNamespace,
    checks: AskedRules,
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
    asking = tuple(
        rule
        for space in dict.fromkeys((mesh.root_namespace, proxy.namespace))
        for rule in checks.get(space, ())
    )
    if not any(chosen) and not asking:
        return NO_POLICIES
    uris = {key_source(rule) for one in chosen[1] for rule in one.spec.jwt_rules if not rule.jwks}
    asked = {one.spec.provider.name for one in chosen[0] if one.spec.provider is not None}
    hosts = {
        one.name: provided_by(one.envoy_ext_authz_http or one.envoy_ext_authz_grpc, services)
        for one in mesh.extension_providers
        if one.name in asked
    }
    hosts |= {counter_of(one.spec): seen(one.spec.service, one.spec.port, services) for one in chosen[2]}
    hosts |= {MIXERD_ASKED: seen(MIXERD, MIXERD_PORT, services)} if asking else {}
    return memo.get(
        _together,
        *chosen[0],
        *chosen[1],
        *chosen[2],
        by=(
            (len(chosen[0]), len(chosen[0]) + len(chosen[1])),
            tuple((uri, keys[uri]) for uri in sorted(uris) if uri in keys),
            tuple((name, host) for name, host in sorted(hosts.items()) if host),
            asking,
        ),
    )


def _near(many: ByNamespace, proxy: Proxy, root: str) -> list[Resource[Any]]:
    return [one for space in dict.fromkeys((root, proxy.namespace)) for one in many.get(space, ())]


def _selects(one: Resource[Any], proxy: Proxy, own: Iterable[Service]) -> bool:
    spec: Spec = one.spec
    if isinstance(spec, RateLimit):
        return matches(spec.selector.match_labels if spec.selector else {}, proxy.labels)
    if targets := targets_of(spec):
        return any(_is_target(target, one.meta.namespace, proxy, own) for target in targets)
    return matches(spec.selector.match_labels if spec.selector else {}, proxy.labels)


def _is_target(target: PolicyTargetReference, namespace: str, proxy: Proxy, own: Iterable[Service]) -> bool:
    """As for every kind that is attached to something; a ServiceEntry: the sidecars of those who serve it."""
    if target.kind == "ServiceEntry":
        entry = f"{kinds.SERVICE_ENTRY.name}/{namespace}/{target.name}"
        return proxy.namespace == namespace and any(one.source == entry for one in own)
    return is_target(target, namespace, proxy, own)


def counter_of(spec: RateLimit) -> str:
    """What the service that counts for a RateLimit is called among `Policies.authorizers`."""
    return f"counts:{spec.service}:{spec.port}"


def _together(*parts: Any) -> Policies:
    *resources, (first, second), keys, authorizers, asking = parts
    return Policies(
        authorization=tuple(resources[:first]),
        authentication=tuple(resources[first:second]),
        limits=tuple(resources[second:]),
        keys=dict(keys),
        authorizers=dict(authorizers),
        checks=asking,
    )
