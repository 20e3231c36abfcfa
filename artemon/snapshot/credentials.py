"""Which Secrets a gateway gets: those of its own namespace that its own Gateways and clients' rules name.

Decided from the proxy alone, before anything is made or remembered: no cache ever answers this question.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from artemon.model.gateway import Gateway
from artemon.model.proxy import Proxy, ProxyType
from artemon.model.resource import Resource
from artemon.model.secret import Secret
from artemon.snapshot.view import Destination, ProxyView

KUBERNETES, GATEWAY = "kubernetes://", "kubernetes-gateway://"
ROOTS_SUFFIX = "-cacert"
_VERIFYING = frozenset({"MUTUAL", "OPTIONAL_MUTUAL"})
_CLIENT = frozenset({"SIMPLE", "MUTUAL"})

Secrets = Mapping[str, Mapping[str, Secret]]
"""Secrets by namespace and name."""


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A credential as it was written. roots: whom to trust is asked for, not a certificate with its key."""

    written: str
    roots: bool

    def target(self, namespace: str) -> tuple[str, str] | None:
        """Namespace and name that a proxy of `namespace` means; None for what is no Secret."""
        if self.written.startswith(GATEWAY):
            owner, _, name = self.written.removeprefix(GATEWAY).partition("/")
            return owner, name
        name = self.written.removeprefix(KUBERNETES)
        return None if "://" in name else (namespace, name)


@dataclass(frozen=True, slots=True)
class Grant:
    """A Secret that a proxy may have, and as what."""

    reference: Reference
    found: Secret


def grants(secrets: Secrets, view: ProxyView) -> tuple[Grant, ...]:
    """What the proxy of `view` may be given, in a stable order. Only routers are given anything, only from
    their own namespace, and only what is referred to on them."""
    proxy = view.proxy
    own = secrets.get(proxy.namespace)
    if proxy.type is not ProxyType.ROUTER or not own:
        return ()
    named = {*_of_gateways(view.gateways), *_of_clients(view.destinations, proxy)}
    return tuple(Grant(one, found) for one in sorted(named) if (found := _granted(own, one, proxy)))


def _granted(own: Mapping[str, Secret], reference: Reference, proxy: Proxy) -> Secret | None:
    target = reference.target(proxy.namespace)
    if target is None or target[0] != proxy.namespace:
        return None
    names = [target[1] + ROOTS_SUFFIX, target[1]] if reference.roots else [target[1]]
    for found in filter(None, map(own.get, names)):
        held = found.credential.roots if reference.roots else found.credential.key
        if held and (not found.accounts or proxy.service_account in found.accounts):
            return found
    return None


def _of_gateways(gateways: Iterable[Resource[Gateway]]) -> Iterator[Reference]:
    for gateway in gateways:
        for server in gateway.spec.servers:
            tls = server.tls
            if tls is None:
                continue
            named = tls.credential_names or ((tls.credential_name,) if tls.credential_name else ())
            for name in named:
                yield Reference(name, roots=False)
            trusting = tls.ca_cert_credential_name or next(iter(named), "")
            if trusting and tls.mode in _VERIFYING:
                yield Reference(trusting, roots=True)


def _of_clients(destinations: Mapping[str, Destination], proxy: Proxy) -> Iterator[Reference]:
    """DestinationRules of the router's own namespace: nobody else decides what it shows to servers."""
    for destination in destinations.values():
        for rule in destination.rules:
            if rule.meta.namespace != proxy.namespace:
                continue
            policies = [rule.spec.traffic_policy, *(subset.traffic_policy for subset in rule.spec.subsets)]
            for policy in filter(None, policies):
                for tls in (policy.tls, *(level.tls for level in policy.port_level_settings)):
                    if tls is not None and tls.credential_name and tls.mode in _CLIENT:
                        yield Reference(tls.credential_name, roots=False)
                        yield Reference(tls.credential_name, roots=True)
