"""Virtual addresses for hosts of ServiceEntries that name none (Istio: `status.addresses`).

An address comes from the host's name, so that everyone who computes it comes to the same one; what an entry
says in its status was given before and stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

from artemon.model.resource import Resource
from artemon.model.service_entry import ServiceEntry

V4, V6 = IPv4Network("240.240.0.0/16"), IPv6Network("2001:2::/48")
OPT_OUT = "networking.istio.io/enable-autoallocate-ip"
"""The label that says `false` where an entry shall get none."""
_SIZE = V4.num_addresses - 2
"""All but the first and the last of the block."""

Owner = tuple[str, str]
"""Namespace and host."""
Pair = tuple[str, str]
"""An IPv4 and an IPv6 address with the same number in their blocks."""


def wants_addresses(entry: Resource[ServiceEntry]) -> bool:
    """Whether hosts of an entry get addresses: they can be told apart by nothing else, and are looked up by
    the proxy."""
    opted_out = entry.meta.labels.get(OPT_OUT, "").lower() == "false"
    return not entry.spec.addresses and entry.spec.resolution not in ("NONE", "DYNAMIC_DNS") and not opted_out


def allotted(entries: Iterable[Resource[ServiceEntry]]) -> dict[Owner, Pair]:
    """The addresses of every host that gets some. Of two that want the same number, the one that has it keeps
    it, else the older gets it and the other the next one that is free."""
    wanting = sorted(
        (one for one in entries if wants_addresses(one)),
        key=lambda one: (one.meta.created, one.meta.namespace, one.meta.name),
    )
    found: dict[Owner, Pair] = {}
    taken: dict[int, Owner] = {}
    for entry in wanting:
        for owner, number in _given(entry):
            if owner not in found and taken.setdefault(number, owner) == owner:
                found[owner] = _pair(number)
    for entry in wanting:
        for owner in _owners(entry):
            if owner not in found and len(taken) < _SIZE:
                number = _first_free(owner, taken)
                taken[number], found[owner] = owner, _pair(number)
    return found


def claimed(entry: Resource[ServiceEntry], taken: dict[int, Owner]) -> list[dict[str, str]]:
    """`status.addresses` of one entry as Istio writes it, each host's addresses in turn; [] when it gets
    none. taken: the numbers that others have, to which its own are added."""
    if not wants_addresses(entry):
        return []
    kept = {owner: number for owner, number in _given(entry) if taken.setdefault(number, owner) == owner}
    for owner in _owners(entry):
        if owner not in kept and len(taken) < _SIZE:
            kept[owner] = _first_free(owner, taken)
            taken[kept[owner]] = owner
    return [{"value": one, "host": owner[1]} for owner, number in kept.items() for one in _pair(number)]


def numbers(namespace: str, status: Mapping[str, Any]) -> Iterator[tuple[int, Owner]]:
    """The numbers that a status says are given, and to whom."""
    addresses = status.get("addresses")
    for one in addresses if isinstance(addresses, list | tuple) else ():
        number = _number(one.get("value")) if isinstance(one, Mapping) else None
        if number is not None:
            yield number, (namespace, str(one.get("host") or "").lower())


def _owners(entry: Resource[ServiceEntry]) -> Iterator[Owner]:
    hosts = (host.lower() for host in entry.spec.hosts if not host.startswith("*"))
    yield from ((entry.meta.namespace, host) for host in dict.fromkeys(hosts))


def _given(entry: Resource[ServiceEntry]) -> Iterator[tuple[Owner, int]]:
    """The numbers that the status of an entry says, for hosts that it has."""
    owners = set(_owners(entry))
    yield from ((who, number) for number, who in numbers(entry.meta.namespace, entry.status) if who in owners)


def _number(text: Any) -> int | None:
    try:
        address = ip_address(str(text))
    except ValueError:
        return None
    number = int(address) - int(V4.network_address)
    return number if isinstance(address, IPv4Address) and 0 < number <= _SIZE else None


def _first_free(owner: Owner, taken: dict[int, Owner]) -> int:
    number = _hash(owner)
    while number in taken:
        number = number % _SIZE + 1
    return number


@lru_cache(maxsize=65536)
def _hash(owner: Owner) -> int:
    return int.from_bytes(sha256("/".join(owner).encode()).digest()[:8], "big") % _SIZE + 1


@lru_cache(maxsize=65536)
def _pair(number: int) -> Pair:
    return str(IPv4Address(int(V4.network_address) + number)), str(
        IPv6Address(int(V6.network_address) + number)
    )
