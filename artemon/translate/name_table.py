"""The names of services for the DNS proxies of agents (Istio's NDS), one resource for each host.

A service with virtual addresses is found there; one without, at the addresses of its healthy instances, as a
headless one is. Hosts of neither (CIDR blocks, instances that are known by name) are left to the machine's
own resolvers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address

from artemon.api.v1.nds_pb2 import NameTable
from artemon.model.service import Endpoint, Health, Protocol, Service
from artemon.xds.resource import Resource, State
from artemon.xds.types import NAMES

Endpoints = Mapping[str, tuple[Endpoint, ...]]


class NameStates:
    """The name tables of all who see the same services; what did not change is not made again."""

    def __init__(self, services: Mapping[str, Service]) -> None:
        services = {host: one for host, one in services.items() if one.asked_by_name}
        self._services = services
        self._seen: dict[str, tuple[Endpoint, ...]] = {}
        self._items: dict[str, Resource] = {}
        self._state: State | None = None
        for service in services.values():
            ips = tuple(_addresses(service.addresses))
            if ips:
                self._items[service.host] = _resource(service, ips)
        self._headless = tuple(s for s in services.values() if s.host not in self._items and not s.addresses)

    def state(self, endpoints: Endpoints, before: State) -> State:
        """The names with these instances, as a successor of `before`."""
        changed = {
            service.host: endpoints.get(service.host, ())
            for service in self._headless
            if self._seen.get(service.host) is not endpoints.get(service.host, ())
        }
        if changed or self._state is None:
            self._seen.update(changed)
            self._items = {**self._items}
            for host, found in changed.items():
                ips = tuple(_addresses(one.address for one in found if one.health is Health.HEALTHY))
                self._items.pop(host, None)
                if ips:
                    self._items[host] = _resource(self._services[host], ips)
            self._state = (self._state or before).successor(self._items)
        return self._state


def _addresses(texts: Iterable[str]) -> Iterator[str]:
    """Those that are addresses, each once, in order."""
    for text in sorted(set(texts)):
        try:
            yield str(ip_address(text))
        except ValueError:
            continue


def _resource(service: Service, ips: tuple[str, ...]) -> Resource:
    table = NameTable()
    info = table.table[service.host]
    info.ips.extend(ips)
    info.namespace = service.namespace
    local = f".{service.namespace}.svc."
    if local in service.host:
        info.registry, info.shortname = "Kubernetes", service.host.partition(local)[0]
    for port in service.ports:
        protocol = "udp" if port.protocol is Protocol.UDP else "tcp"
        info.ports.add(name=port.name, number=port.number, protocol=protocol)
    return Resource.of(service.host, NAMES, table)
