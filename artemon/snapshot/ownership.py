"""Which services a proxy's workload serves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from artemon.model.hosts import service_host
from artemon.model.proxy import Proxy
from artemon.model.selector import matches
from artemon.model.service import Service
from artemon.snapshot.changes import ServiceKey
from artemon.snapshot.services import GATES, SERVICE_TAG, Source

Claim = tuple[Mapping[str, str], ServiceKey]


@dataclass(frozen=True, slots=True)
class Owners:
    """Services by what makes a workload one of their instances.

    by_label: claims with a selector, by namespace and one pair of it (("", "") when it is empty).
    by_address: claims of endpoints that are written in a ServiceEntry, by their address.
    """

    services: Mapping[ServiceKey, Service] = field(default_factory=dict)
    by_label: Mapping[tuple[str, str, str], tuple[Claim, ...]] = field(default_factory=dict)
    by_address: Mapping[str, tuple[ServiceKey, ...]] = field(default_factory=dict)

    def of(self, proxy: Proxy, domain: str) -> tuple[Service, ...]:
        """The services of the proxy's workload, in the order of their hosts."""
        found = set()
        if proxy.service:
            found.add(ServiceKey(service_host(proxy.service, proxy.namespace, domain), proxy.namespace))
        for label in (("", ""), *proxy.labels.items()):
            for selector, key in self.by_label.get((proxy.namespace, *label), ()):
                if matches(selector, proxy.labels):
                    found.add(key)
        for address in proxy.ip_addresses:
            found.update(key for key in self.by_address.get(address, ()) if key.namespace == proxy.namespace)
        return tuple(self.services[key] for key in sorted(found) if key in self.services)


def owners(services: Mapping[ServiceKey, Service], sources: Iterable[Source]) -> Owners:
    """The claims that sources make on workloads."""
    by_label: defaultdict[tuple[str, str, str], list[Claim]] = defaultdict(list)
    by_address: defaultdict[str, list[ServiceKey]] = defaultdict(list)
    for source in sources:
        keys = [ServiceKey(service.host, service.namespace) for service in source.services]
        if not keys or source.rank == GATES:
            continue
        if source.selector is not None and SERVICE_TAG not in source.selector:
            pair = min(source.selector.items(), default=("", ""))
            by_label[(source.namespace, *pair)] += [(source.selector, key) for key in keys]
        for endpoint in source.inline if source.claims else ():
            by_address[endpoint.address] += keys
    return Owners(
        services=services,
        by_label={pair: tuple(claims) for pair, claims in by_label.items()},
        by_address={address: tuple(keys) for address, keys in by_address.items()},
    )
