"""Resources as bytes with a content version, and what there is of each type at one moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

from artemon.model.rejected_patch import RejectedPatch
from artemon.xds.types import PUSH_ORDER

GENERATIONS = 8
"""How many earlier states a state can be compared with at the cost of what changed."""


def content_version(*parts: bytes) -> str:
    """16 hex digits that are equal when the content is, on every replica and after every restart."""
    digest = blake2b(digest_size=8)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource, serialized. version: hash of `body`; equal versions of one name are equal content.

    An empty `body` with a version stands for what a client said it holds from an earlier stream.
    """

    name: str
    type_url: str
    version: str
    body: bytes

    @classmethod
    def of(cls, name: str, type_url: str, message: Any) -> Resource:
        """The resource of a protobuf message, serialized deterministically."""
        body = message.SerializeToString(deterministic=True)
        return cls(name, type_url, content_version(body), body)


@dataclass(frozen=True, slots=True)
class Batch:
    """Resources in the order of their names, and the version of a response that brings exactly them."""

    resources: tuple[Resource, ...]
    names: tuple[str, ...]
    version: str

    @classmethod
    def of(cls, resources: Iterable[Resource], removed: Iterable[str] = ()) -> Batch:
        """removed: names that the response says are gone."""
        found = tuple(resources)
        stamp = content_version(
            *(f"{item.name}\0{item.version}\0".encode() for item in found),
            *(f"-{name}\0".encode() for name in removed),
        )
        return cls(found, tuple(item.name for item in found), stamp)


class State:
    """Everything there is of one type, immutable. Successors know what changed since their ancestors."""

    __slots__ = ("_batches", "_history", "items", "token")

    def __init__(
        self, items: Mapping[str, Resource], history: tuple[tuple[object, frozenset[str]], ...] = ()
    ) -> None:
        self.items = items
        self.token = object()
        self._history = history
        self._batches: dict[frozenset[str], Batch | None] = {}

    def successor(self, items: Mapping[str, Resource], *, among: Iterable[str] | None = None) -> State:
        """The state with these items; this very object when nothing differs. among: all names that can
        differ, where the caller knows them."""
        before = self.items
        if items and not before:
            return State(items)
        if among is None:
            among = items.keys() | before.keys()
        changed = {name for name in among if not _same(before.get(name), items.get(name))}
        if not changed:
            return self
        older = (
            (token, names | changed) for token, names in ((self.token, frozenset[str]()), *self._history)
        )
        near = [entry for entry in older if 2 * len(entry[1]) <= len(items)]
        return State(items, tuple(near[:GENERATIONS]))

    def changed_since(self, token: object) -> frozenset[str] | None:
        """Names that differ from the state with this token; None when it is not known any more."""
        if token is self.token:
            return frozenset()
        return next((names for known, names in self._history if known is token), None)

    @property
    def version(self) -> str:
        """The version of all of it."""
        batch = self.batch(frozenset(self.items))
        assert batch is not None
        return batch.version

    def batch(self, names: frozenset[str]) -> Batch | None:
        """These resources, made once for all who lack them; None when one of them does not exist."""
        if names not in self._batches:
            found = [self.items.get(name) for name in sorted(names)]
            there = [item for item in found if item is not None]
            self._batches[names] = Batch.of(there) if len(there) == len(found) else None
        return self._batches[names]


def _same(one: Resource | None, other: Resource | None) -> bool:
    return one is other or (one is not None and other is not None and one.version == other.version)


NOTHING = State(MappingProxyType({}))


class Resources(Mapping[str, State]):
    """The desired state of one client: type URL -> State. A type that is absent has no resources.

    rejected: the patches that are not in it.
    """

    __slots__ = ("_states", "rejected")

    def __init__(self, states: Mapping[str, State], *, rejected: tuple[RejectedPatch, ...] = ()) -> None:
        self._states = dict(states)
        self.rejected = rejected

    @classmethod
    def of(
        cls, items: Mapping[str, Mapping[str, Resource]], *, previous: Resources | None = None
    ) -> Resources:
        """From resources by type and name; states that equal those of `previous` are shared with it."""
        return cls(
            {url: (previous[url] if previous else NOTHING).successor(named) for url, named in items.items()}
        )

    def __getitem__(self, type_url: str) -> State:
        return self._states.get(type_url, NOTHING)

    def same_as(self, other: Resources) -> bool:
        """Whether both have the very same states."""
        theirs = other._states
        return len(theirs) == len(self._states) and all(
            theirs.get(url) is state for url, state in self._states.items()
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._states)

    def __len__(self) -> int:
        return len(self._states)


NO_RESOURCES = Resources({})


def in_push_order(types: Mapping[str, object]) -> list[str]:
    """The type URLs of a mapping, the known ones in push order, others after them."""
    known = [url for url in PUSH_ORDER if url in types]
    return known + sorted(url for url in types if url not in PUSH_ORDER)
