"""Which Secrets the mesh's configuration names as certificates. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from artemon.model.kinds import DESTINATION_RULE, GATEWAY, INGRESS, KUBERNETES_GATEWAY
from artemon.model.resource import Kind, Resource
from artemon.model.tolerant import decode_tolerantly
from artemon.snapshot.credentials import Reference, of_gateways, of_rule
from artemon.store.api import Entry
from galleyd.writes import decode

Named = tuple[str, str]
"""Namespace and name; without a namespace the proxies' own is meant, which may be any."""
NAMING: Final[tuple[Kind, ...]] = (GATEWAY, DESTINATION_RULE, INGRESS, KUBERNETES_GATEWAY)


def names(resource: Resource[Any]) -> Iterator[Named]:
    """What one object names."""
    meta, spec = resource.meta, resource.spec
    if resource.kind is GATEWAY:
        yield from _targets(of_gateways((resource,)), "")
    elif resource.kind is DESTINATION_RULE:
        yield from _targets(of_rule(resource), meta.namespace)
    elif resource.kind is INGRESS:
        yield from (("", one.secret_name) for one in spec.tls if one.secret_name)
    elif resource.kind is KUBERNETES_GATEWAY:
        for listener in spec.listeners:
            for one in listener.tls.certificate_refs if listener.tls else ():
                yield one.namespace or meta.namespace, one.name


def _targets(references: Iterable[Reference], own: str) -> Iterator[Named]:
    for one in references:
        target = one.target(own)
        if target:
            yield from ((target[0], name) for name in one.names(target[1]))


class Names:
    """What all objects name; each is read once for every version of it. prefixes: of the keys of NAMING."""

    def __init__(self, prefixes: Iterable[str]) -> None:
        self._prefixes = tuple(prefixes)
        self._read: dict[str, tuple[int, frozenset[Named]]] = {}
        self._all: frozenset[Named] = frozenset()

    def look(self, entries: Iterable[Entry]) -> None:
        """Look at the configuration as it is."""
        fresh = {}
        for entry in entries:
            if not entry.key.startswith(self._prefixes):
                continue
            known = self._read.get(entry.key)
            same = known and known[0] == entry.version
            fresh[entry.key] = known if known and same else (entry.version, _names_in(entry))
        self._read = fresh
        self._all = frozenset().union(*(named for _, named in fresh.values()))

    def has(self, namespace: str, name: str) -> bool:
        """Whether something may mean this Secret."""
        return (namespace, name) in self._all or ("", name) in self._all


def _names_in(entry: Entry) -> frozenset[Named]:
    stored = decode(entry)
    resource = decode_tolerantly(stored.object).resource if stored else None
    return frozenset(names(resource)) if resource else frozenset()
