"""The RoleBindings and HostGrants in force, as last seen in the registry."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from artemon.model.access import SERVICE_ACCOUNT, HostGrant
from artemon.model.kinds import HOST_GRANT, ROLE_BINDING
from artemon.model.resource import Kind, Resource
from artemon.model.tolerant import decode_tolerantly
from artemon.pki.spiffe import SYSTEM_NAMESPACE
from artemon.store.api import Entry
from galleyd.keys import Keys
from galleyd.rights import EVERYWHERE, Binding
from galleyd.writes import decode


class Granted:
    """Reads them out of `entries` when `position` has moved. problems: what is wrong with an object; one that
    has any grants nothing. is_ours: whether galleyd wrote a value; what others wrote grants nothing."""

    def __init__(
        self,
        keys: Keys,
        *,
        entries: Callable[[], Iterable[Entry]],
        position: Callable[[], object],
        problems: Callable[[Resource[Any]], Iterable[Any]],
        is_ours: Callable[[Entry], bool],
    ) -> None:
        self._entries, self._position, self._problems = entries, position, problems
        self._is_ours = is_ours
        self._prefixes = {kind: keys.collection(kind) for kind in (ROLE_BINDING, HOST_GRANT)}
        self._seen: object = None
        self._bindings: tuple[Binding, ...] = ()
        self._grants: tuple[Resource[HostGrant], ...] = ()

    def bindings(self) -> tuple[Binding, ...]:
        """Every RoleBinding."""
        self._refresh()
        return self._bindings

    def grants(self) -> tuple[Resource[HostGrant], ...]:
        """Every HostGrant."""
        self._refresh()
        return self._grants

    def _refresh(self) -> None:
        position = self._position()
        if position == self._seen:
            return
        entries = list(self._entries())
        self._bindings = tuple(binding_of(one) for one in self._read(entries, ROLE_BINDING))
        self._grants = tuple(self._read(entries, HOST_GRANT))
        self._seen = position

    def _read(self, entries: Iterable[Entry], kind: Kind) -> list[Resource[Any]]:
        prefix = self._prefixes[kind]
        stored = [decode(entry) for entry in entries if entry.key.startswith(prefix) and self._is_ours(entry)]
        decoded = [decode_tolerantly(one.object).resource for one in stored if one]
        return [one for one in decoded if one and one.kind is kind and not list(self._problems(one))]


def binding_of(resource: Resource[Any]) -> Binding:
    """A RoleBinding as rights are judged by it."""
    namespace = resource.meta.namespace
    subjects = frozenset(
        (one.kind, one.name, (one.namespace or namespace) if one.kind == SERVICE_ACCOUNT else "")
        for one in resource.spec.subjects
    )
    where = EVERYWHERE if namespace == SYSTEM_NAMESPACE else namespace
    return Binding(f"RoleBinding {namespace}/{resource.meta.name}", resource.spec.role, where, subjects)
