"""Which services a proxy's workload serves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from artemon.model.hosts import service_host
from artemon.model.proxy import Proxy
from artemon.model.selector import matches
from artemon.model.service import Service
from artemon.snapshot.changes import ServiceKey
from artemon.snapshot.services import GATES, SERVICE_TAG, Source

Claim = tuple[Mapping[str, str], ServiceKey]
Place = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Claims:
    """What one service claims: workloads with labels, by where they are found, and those with addresses."""

    labels: tuple[tuple[Place, Mapping[str, str]], ...] = ()
    addresses: frozenset[str] = frozenset()


NO_CLAIMS = Claims()


@dataclass(frozen=True, slots=True)
class Owners:
    """Services by what makes a workload one of their instances.

    by_label: claims with a selector, by namespace and one pair of it (("", "") when it is empty).
    by_address: claims of endpoints that are written in a ServiceEntry, or known to a registry, by namespace
    and address.
    claims: the same by service.
    """

    services: Mapping[ServiceKey, Service] = field(default_factory=dict)
    by_label: Mapping[Place, tuple[Claim, ...]] = field(default_factory=dict)
    by_address: Mapping[str, Mapping[str, tuple[ServiceKey, ...]]] = field(default_factory=dict)
    claims: Mapping[ServiceKey, Claims] = field(default_factory=dict)

    def of(self, proxy: Proxy, domain: str) -> tuple[Service, ...]:
        """The services of the proxy's workload, in the order of their hosts."""
        found = set()
        if proxy.service:
            found.add(ServiceKey(service_host(proxy.service, proxy.namespace, domain), proxy.namespace))
        for label in (("", ""), *proxy.labels.items()):
            for selector, key in self.by_label.get((proxy.namespace, *label), ()):
                if matches(selector, proxy.labels):
                    found.add(key)
        here = self.by_address.get(proxy.namespace, {})
        for address in proxy.ip_addresses:
            found.update(here.get(address, ()))
        return tuple(self.services[key] for key in sorted(found) if key in self.services)


def owners(
    before: Owners,
    services: Mapping[ServiceKey, Service],
    touched: Iterable[ServiceKey],
    sources: Callable[[ServiceKey], Iterable[Source]],
) -> Owners:
    """The claims as they are after those of `touched` services may have changed. sources: of a service.
    What does not change costs nothing but a copy of the parts of the indexes that do."""
    fresh = {key: _claims(key, sources(key)) for key in touched}
    changed = {key: found for key, found in fresh.items() if before.claims.get(key, NO_CLAIMS) != found}
    if not changed:
        return before if services is before.services else replace(before, services=services)
    claims, by_label = dict(before.claims), before.by_label
    spaces = {space: dict(before.by_address.get(space, {})) for space in {key.namespace for key in changed}}
    if any(before.claims.get(key, NO_CLAIMS).labels != found.labels for key, found in changed.items()):
        by_label = _labelled(before, changed)
    for key, found in changed.items():
        old = claims.pop(key, NO_CLAIMS)
        if found != NO_CLAIMS:
            claims[key] = found
        here = spaces[key.namespace]
        for address in old.addresses ^ found.addresses:
            keys = {*here.pop(address, ())} ^ {key}
            if keys:
                here[address] = tuple(sorted(keys))
    by_address = {space: here for space, here in {**before.by_address, **spaces}.items() if here}
    return Owners(services, by_label, by_address, claims)


def _labelled(before: Owners, changed: Mapping[ServiceKey, Claims]) -> dict[Place, tuple[Claim, ...]]:
    """The claims by label after those of some services changed."""
    by_label = dict(before.by_label)
    for key, found in changed.items():
        old = before.claims.get(key, NO_CLAIMS)
        for place in {place for place, _ in (*old.labels, *found.labels)}:
            others = [one for one in by_label.pop(place, ()) if one[1] != key]
            many = [*others, *((selector, key) for at, selector in found.labels if at == place)]
            if many:
                by_label[place] = tuple(sorted(many, key=lambda one: (one[1], sorted(one[0].items()))))
    return by_label


def _claims(key: ServiceKey, sources: Iterable[Source]) -> Claims:
    labels, addresses = [], set[str]()
    for source in sources:
        if source.rank == GATES:
            continue
        if source.selector is not None and SERVICE_TAG not in source.selector:
            pair = min(source.selector.items(), default=("", ""))
            labels.append(((source.namespace, *pair), source.selector))
        if source.claims:
            addresses.update(endpoint.address for endpoint in source.inline)
    return Claims(tuple(labels), frozenset(addresses))
