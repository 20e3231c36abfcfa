"""Names of the mesh and where they are. Pure.

A host `reviews.books.svc.cluster.local` is found as `reviews.books.svc` and `reviews.books` as well, and in
its own namespace as `reviews`. A host that begins with `*.` stands for every name below it; the longest wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from types import MappingProxyType

from artemon.api.v1.nds_pb2 import NameTable


@dataclass(frozen=True, slots=True)
class Service:
    """A port for SRV records: `_<name>._<protocol>.<host>`."""

    name: str
    protocol: str
    port: int


@dataclass(frozen=True, slots=True)
class Host:
    """name: in full, lower case, without a final dot. v4, v6: addresses as text, in a fixed order."""

    name: str
    v4: tuple[str, ...]
    v6: tuple[str, ...]
    services: tuple[Service, ...] = ()


class Table:
    """All names for a workload in `namespace`. hosts: what pilotd said; the first of two equal names wins."""

    def __init__(self, hosts: Iterable[NameTable], *, namespace: str) -> None:
        exact: dict[str, Host] = {}
        below: dict[str, Host] = {}
        reverse: dict[str, str] = {}
        for name, info in sorted((n, i) for one in hosts for n, i in one.table.items()):
            host = _host(name, info)
            if host.name.startswith("*."):
                below.setdefault(host.name[2:], host)
                continue
            for form in _forms(host.name, info, namespace):
                exact.setdefault(form, host)
            for address in (*host.v4, *host.v6):
                reverse.setdefault(address, host.name)
        self._exact: Mapping[str, Host] = MappingProxyType(exact)
        self._below: Mapping[str, Host] = MappingProxyType(below)
        self._reverse: Mapping[str, str] = MappingProxyType(reverse)

    def __len__(self) -> int:
        return len(self._exact) + len(self._below)

    def find(self, name: str) -> Host | None:
        """The host with this name (lower case, no final dot)."""
        found = self._exact.get(name)
        parent = name
        while found is None and self._below and "." in parent:
            parent = parent.partition(".")[2]
            found = self._below.get(parent)
        return found

    def name_of(self, address: str) -> str | None:
        """The host at an address."""
        return self._reverse.get(address)


def check(table: NameTable) -> NameTable:
    """The same table. Raises ValueError when an address in it is none."""
    for info in table.table.values():
        for text in info.ips:
            ip_address(text)
    return table


def _host(name: str, info: NameTable.NameInfo) -> Host:
    ips = [ip_address(text) for text in info.ips]
    return Host(
        name.lower().rstrip("."),
        tuple(str(ip) for ip in ips if ip.version == 4),
        tuple(str(ip) for ip in ips if ip.version == 6),
        tuple(Service(port.name.lower(), port.protocol, port.number) for port in info.ports),
    )


def _forms(name: str, info: NameTable.NameInfo, namespace: str) -> Iterator[str]:
    yield name
    yield from (other.lower().rstrip(".") for other in info.alt_hosts)
    if info.shortname:
        short = info.shortname.lower()
        yield f"{short}.{info.namespace}.svc"
        yield f"{short}.{info.namespace}"
        if info.namespace == namespace:
            yield short
