"""What can be listed and watched: the objects of a kind, and the namespaces that are in use."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from artemon.model.resource import Kind
from artemon.store.api import Snapshot, Store
from galleyd.catalog import NAMESPACE
from galleyd.keys import Keys
from galleyd.objects import Stored
from galleyd.selectors import Selector
from galleyd.status import bad_request, expired
from galleyd.writes import decode

KEPT = 16
"""Lists that are kept for clients who page through them."""


@dataclass(frozen=True, slots=True)
class Listed:
    """Selected objects at one revision, in the order of their keys."""

    items: tuple[Stored, ...]
    revision: int


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list. token: how to ask for the rest, "" at the end. left: objects after it."""

    items: Sequence[Stored]
    revision: int
    token: str = ""
    left: int = 0


async def listed(store: Store, keys: Keys, kind: Kind, namespace: str, selected: Selector) -> Listed:
    """The selected objects of a kind, of one namespace or ("") all. Corrupt values are left out."""
    if kind is NAMESPACE:
        return await _namespaces(store, keys, selected)
    snapshot = await store.list(keys.collection(kind, namespace))
    found = (decode(entry) for entry in snapshot.entries)
    return Listed(
        tuple(stored for stored in found if stored and selected(stored.object)), snapshot.position.revision
    )


async def _namespaces(store: Store, keys: Keys, selected: Selector) -> Listed:
    """Namespaces made explicitly, and those that some object is in."""
    used = await store.list(keys.layout.configs)
    made = await store.list(keys.namespaces)
    found = {stored.object["metadata"]["name"]: stored for stored in map(decode, made.entries) if stored}
    for name in ["default", *names_in_use(used, keys)]:
        found.setdefault(name, Stored(namespace_object(name), 0))
    items = tuple(found[name] for name in sorted(found) if selected(found[name].object))
    return Listed(items, used.position.revision)


def names_in_use(used: Snapshot, keys: Keys) -> set[str]:
    """The namespaces of the objects in a snapshot of `keys.layout.configs`."""
    paths = (entry.key.removeprefix(keys.layout.configs).split("/") for entry in used.entries)
    return {path[1] for path in paths if len(path) == 3}


def namespace_object(name: str) -> dict[str, Any]:
    """A namespace as Kubernetes shows one."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
        "spec": {},
        "status": {"phase": "Active"},
    }


@dataclass(slots=True)
class Pages:
    """Lists that clients page through: every page of one list shows the same revision."""

    _lists: OrderedDict[str, Listed] = field(default_factory=OrderedDict)

    def first(self, found: Listed, limit: int) -> Page:
        """The first `limit` objects (0: all)."""
        if not limit or len(found.items) <= limit:
            return Page(found.items, found.revision)
        name = secrets.token_hex(8)
        self._lists[name] = found
        while len(self._lists) > KEPT:
            self._lists.popitem(last=False)
        return self._page(name, found, 0, limit)

    def next(self, token: str, limit: int) -> Page:
        """The page after `token`. Raises ApiError 410 when its list is no longer kept, 400: not a token."""
        try:
            name, start = json.loads(base64.urlsafe_b64decode(token.encode()))
            name, start = str(name), int(start)
        except (ValueError, TypeError, binascii.Error) as error:
            raise bad_request("continue is not a token that was given here") from error
        found = self._lists.get(name)
        if found is None or not 0 < start < len(found.items):
            raise expired("the list to be continued is no longer kept; list again from the start")
        return self._page(name, found, start, limit or len(found.items))

    def _page(self, name: str, found: Listed, start: int, limit: int) -> Page:
        end = start + limit
        items, left = found.items[start:end], len(found.items) - end
        if left <= 0:
            self._lists.pop(name, None)
            return Page(items, found.revision)
        token = base64.urlsafe_b64encode(json.dumps([name, end]).encode()).decode()
        return Page(items, found.revision, token, left)
