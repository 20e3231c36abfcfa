"""Which workloads are instances of which services, kept up to date one change at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from artemon.model.resource import Resource
from artemon.model.selector import matches
from artemon.model.service import Endpoint
from artemon.model.workload import Workload
from artemon.model.workload_entry import WorkloadEntry
from artemon.snapshot.adoption import Adoptions
from artemon.snapshot.services import SERVICE_TAG, Source, entry_health, from_entry, from_workload

Pair = tuple[str, str, str]
"""Namespace, tag and value; the tag `*` stands for every workload of the namespace."""


@dataclass(frozen=True, slots=True)
class Member:
    """A workload that selectors can select."""

    namespace: str
    tags: Mapping[str, str]
    origin: Workload | Resource[WorkloadEntry]


def member_of(origin: Workload | Resource[WorkloadEntry]) -> Member:
    """The member that a joined workload or a WorkloadEntry is."""
    if isinstance(origin, Workload):
        return Member(origin.namespace, _tags(tuple(origin.labels.items()), origin.service), origin)
    return Member(origin.meta.namespace, origin.spec.labels, origin)


@lru_cache(maxsize=4096)
def _tags(labels: tuple[tuple[str, str], ...], service: str) -> Mapping[str, str]:
    """One object for all members with the same labels."""
    return {**dict(labels), SERVICE_TAG: service}


class Membership:
    """Members and the sources that select them. Every change costs what it touches: both sides are found by
    one of the pairs that a selector asks for, not by looking through all."""

    def __init__(self) -> None:
        self.sources: dict[str, Source] = {}
        self.adoptions = Adoptions()
        self._members: dict[str, Member] = {}
        self._members_by_pair: defaultdict[Pair, dict[str, None]] = defaultdict(dict)
        self._sources_by_pair: defaultdict[Pair, dict[str, None]] = defaultdict(dict)
        self._selected: dict[str, dict[str, Endpoint]] = {}

    def instances(self, source: str) -> tuple[Endpoint, ...]:
        """The instances of a source: those written in it, then selected ones in the order of their keys."""
        selected = self._selected[source]
        return self.adoptions.shown(self.sources[source]) + tuple(selected[key] for key in sorted(selected))

    def put_member(self, key: str, member: Member) -> set[str]:
        """Add or replace a member. Returns the sources whose instances changed."""
        touched = self.drop_member(key)
        self._members[key] = member
        for pair in _pairs(member):
            self._members_by_pair[pair][key] = None
        for source in self._selecting(member):
            self._selected[source][key] = _endpoint(member, self.sources[source])
            touched.add(source)
        return touched

    def drop_member(self, key: str) -> set[str]:
        """Remove a member, if it is there. Returns the sources whose instances changed."""
        member = self._members.pop(key, None)
        if member is None:
            return set()
        for pair in _pairs(member):
            _discard(self._members_by_pair, pair, key)
        touched = set(self._selecting(member))
        for source in touched:
            del self._selected[source][key]
        return touched

    def put_source(self, source: Source) -> None:
        """Add or replace a source and find its instances."""
        self.drop_source(source.id)
        self.sources[source.id] = source
        self.adoptions.know(source)
        self._selected[source.id] = {}
        if source.selector is None:
            return
        pair = _registration(source)
        self._sources_by_pair[pair][source.id] = None
        for key in self._members_by_pair.get(pair, ()):
            member = self._members[key]
            if _selects(source, member):
                self._selected[source.id][key] = _endpoint(member, source)

    def drop_source(self, identity: str) -> None:
        """Remove a source, if it is there."""
        source = self.sources.pop(identity, None)
        if source is None:
            return
        self.adoptions.know(source, gone=True)
        del self._selected[identity]
        if source.selector is not None:
            _discard(self._sources_by_pair, _registration(source), identity)

    def _selecting(self, member: Member) -> Iterator[str]:
        for pair in _pairs(member):
            for identity in self._sources_by_pair.get(pair, ()):
                if _selects(self.sources[identity], member):
                    yield identity


def _selects(source: Source, member: Member) -> bool:
    is_pod = isinstance(member.origin, Workload) and member.origin.is_pod
    return (source.selects_pods or not is_pod) and matches(source.selector or {}, member.tags)


def _pairs(member: Member) -> Iterator[Pair]:
    yield (member.namespace, "*", "")
    for tag, value in member.tags.items():
        yield (member.namespace, tag, value)


def _registration(source: Source) -> Pair:
    tag, value = min((source.selector or {}).items(), default=("*", ""))
    return (source.namespace, tag, value)


def _discard(index: defaultdict[Pair, dict[str, None]], pair: Pair, key: str) -> None:
    index[pair].pop(key, None)
    if not index[pair]:
        del index[pair]


def _endpoint(member: Member, source: Source) -> Endpoint:
    service = source.services[0] if source.services else None
    ports = service.ports if service else ()
    external = service is not None and service.mesh_external
    if isinstance(member.origin, Workload):
        return from_workload(member.origin, ports, external=external)
    health = entry_health(member.origin)
    name = member.origin.meta.name
    return from_entry(
        member.origin.spec, member.namespace, ports, external=external, health=health, name=name
    )
