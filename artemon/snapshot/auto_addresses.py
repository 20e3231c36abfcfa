"""Services with the virtual addresses that the mesh gives them, for proxies that answer DNS themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from artemon.model.auto_addresses import Owner, Pair, allotted
from artemon.model.resource import Resource
from artemon.model.service import Service
from artemon.model.service_entry import ServiceEntry
from artemon.snapshot.memo import Memo


class AutoAddresses:
    """The addresses of some ServiceEntries, worked out when somebody first asks."""

    def __init__(self, entries: Iterable[Resource[ServiceEntry]] = ()) -> None:
        self._entries = tuple(entries)

    @cached_property
    def by_owner(self) -> Mapping[Owner, Pair]:
        """Namespace and host -> IPv4 and IPv6 address."""
        return allotted(self._entries)


def with_addresses(services: Mapping[str, Service], auto: AutoAddresses, memo: Memo) -> dict[str, Service]:
    """The services, each with the addresses that it was given; one with addresses of its own keeps them."""
    found = {}
    for host, service in services.items():
        given = auto.by_owner.get((service.namespace, host))
        named = given is not None and not service.addresses
        found[host] = memo.get(_addressed, service, by=(given,)) if named else service
    return found


def _addressed(service: Service, given: Any) -> Service:
    return replace(service, addresses=given)
