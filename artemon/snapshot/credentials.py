"""Which Secrets a gateway gets: those of its own namespace that its own Gateways and clients' rules name, and
of others those that a ReferenceGrant there lends to Gateways of its namespace.

Decided from the proxy alone, before anything is made or remembered: no cache ever answers this question.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from artemon.model.destination_rule import DestinationRule
from artemon.model.gateway import Gateway
from artemon.model.proxy import Proxy, ProxyType
from artemon.model.resource import Resource
from artemon.model.secret import GATEWAY, KUBERNETES, Secret
from artemon.snapshot.edge.grants import Grants
from artemon.snapshot.view import Destination, ProxyView

ROOTS_SUFFIX = "-cacert"
_VERIFYING = frozenset({"MUTUAL", "OPTIONAL_MUTUAL"})
_CLIENT = frozenset({"SIMPLE", "MUTUAL"})

Secrets = Mapping[str, Mapping[str, Secret]]
"""Secrets by namespace and name."""


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A credential as it was written. roots: whom to trust is asked for, not a certificate with its key.
    by: the namespace of the object that names it."""

    written: str
    roots: bool
    by: str

    def target(self, namespace: str) -> tuple[str, str] | None:
        """Namespace and name that a proxy of `namespace` means; None for what is no Secret."""
        if self.written.startswith(GATEWAY):
            owner, _, name = self.written.removeprefix(GATEWAY).partition("/")
            return owner, name
        name = self.written.removeprefix(KUBERNETES)
        return None if "://" in name else (namespace, name)

    def names(self, name: str) -> tuple[str, ...]:
        """The Secrets that may have it, of one that is called `name`: the first one that has it counts."""
        return (name + ROOTS_SUFFIX, name) if self.roots else (name,)


@dataclass(frozen=True, slots=True)
class Grant:
    """A Secret that a proxy may have, and as what."""

    reference: Reference
    found: Secret


def grants(secrets: Secrets, view: ProxyView, lent: Grants) -> tuple[Grant, ...]:
    """What the proxy of `view` may be given, in a stable order. Only routers are given anything, only from
    their own namespace or as `lent` to it, and only what is referred to on them."""
    if view.proxy.type is not ProxyType.ROUTER or not secrets:
        return ()
    named = {*of_gateways(view.gateways), *_of_clients(view.destinations, view.proxy)}
    found = ((one, _granted(secrets, one, view.proxy, lent)) for one in sorted(named))
    return tuple(Grant(one, secret) for one, secret in found if secret)


def reaches(view: ProxyView, namespaces: frozenset[str]) -> bool:
    """Whether the proxy of `view` may be given Secrets of one of these namespaces."""
    proxy = view.proxy
    if proxy.type is not ProxyType.ROUTER:
        return False
    targets = (one.target(proxy.namespace) for one in of_gateways(view.gateways))
    return proxy.namespace in namespaces or any(one and one[0] in namespaces for one in targets)


def _granted(secrets: Secrets, reference: Reference, proxy: Proxy, lent: Grants) -> Secret | None:
    target = reference.target(proxy.namespace)
    if target is None:
        return None
    for name in reference.names(target[1]):
        found = secrets.get(target[0], {}).get(name)
        if found is None or not _may(reference, found, proxy, lent):
            continue
        if found.credential.roots if reference.roots else found.credential.key:
            return found
    return None


def _may(reference: Reference, found: Secret, proxy: Proxy, lent: Grants) -> bool:
    if found.accounts and proxy.service_account not in found.accounts:
        return False
    own = proxy.namespace
    return found.namespace == own or (
        reference.by == own
        and lent.allow("Gateway", own, target="Secret", namespace=found.namespace, name=found.name)
    )


def of_gateways(gateways: Iterable[Resource[Gateway]]) -> Iterator[Reference]:
    """What Gateways name."""
    for gateway in gateways:
        by = gateway.meta.namespace
        for server in gateway.spec.servers:
            tls = server.tls
            if tls is None:
                continue
            named = tls.credential_names or ((tls.credential_name,) if tls.credential_name else ())
            for name in named:
                yield Reference(name, roots=False, by=by)
            trusting = tls.ca_cert_credential_name or next(iter(named), "")
            if trusting and tls.mode in _VERIFYING:
                yield Reference(trusting, roots=True, by=by)


def _of_clients(destinations: Mapping[str, Destination], proxy: Proxy) -> Iterator[Reference]:
    """DestinationRules of the router's own namespace: nobody else decides what it shows to servers."""
    for destination in destinations.values():
        for rule in destination.rules:
            if rule.meta.namespace == proxy.namespace:
                yield from of_rule(rule)


def of_rule(rule: Resource[DestinationRule]) -> Iterator[Reference]:
    """What a DestinationRule names."""
    by = rule.meta.namespace
    policies = [rule.spec.traffic_policy, *(subset.traffic_policy for subset in rule.spec.subsets)]
    for policy in filter(None, policies):
        for tls in (policy.tls, *(level.tls for level in policy.port_level_settings)):
            if tls is not None and tls.credential_name and tls.mode in _CLIENT:
                yield Reference(tls.credential_name, roots=False, by=by)
                yield Reference(tls.credential_name, roots=True, by=by)
