"""EnvoyFilters, read once for all proxies: their patches as Envoy messages, in the order of application."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import re2
from google.protobuf.message import Message

from artemon.model.envoy_filter import (
    ALLOW_PROTECTED,
    OPERATIONS,
    EnvoyFilter,
    EnvoyFilterEnvoyConfigObjectMatch,
    EnvoyFilterEnvoyConfigObjectPatch,
)
from artemon.model.proxy import Proxy
from artemon.model.rejected_patch import RejectedPatch
from artemon.model.resource import Resource
from artemon.translate.envoy_values import read

ANYWHERE = EnvoyFilterEnvoyConfigObjectMatch()
MAX_REGEX_BYTES = 1024


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """One patch that can be applied. value: nobody may change it. written: the same as the user wrote it.

    operation: what it amounts to (`OPERATIONS`). trusted: it may change what is protected. filter_class:
    where among the others a filter is added.
    """

    ref: str
    index: int
    apply_to: str
    operation: str
    match: EnvoyFilterEnvoyConfigObjectMatch
    value: Message | None
    written: Mapping[str, Any]
    trusted: bool
    filter_class: str = "UNSPECIFIED"

    @property
    def given(self) -> Message:
        """The value of an operation that has one."""
        assert self.value is not None
        return self.value

    @property
    def replaces_lists(self) -> bool:
        """Whether lists of the value stand in place of those before."""
        return self.operation == "MERGE_AND_REPLACE_LIST"

    def rejected(self, resource: str, reason: str) -> RejectedPatch:
        """That it was not applied."""
        return RejectedPatch(self.ref, self.index, resource, reason)


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """The patches of some EnvoyFilters in order, and those that are none."""

    patches: tuple[Patch, ...]
    rejected: tuple[RejectedPatch, ...]


def in_order(filters: Iterable[Resource[EnvoyFilter]], root: str) -> list[Resource[EnvoyFilter]]:
    """By priority, then those of the root namespace, then the oldest, then by name and namespace (Istio)."""
    return sorted(
        filters,
        key=lambda one: (
            one.spec.priority,
            one.meta.namespace != root,
            one.meta.created,
            f"{one.meta.name}.{one.meta.namespace}",
        ),
    )


def reading(filters: Iterable[Resource[EnvoyFilter]], root: str) -> Reading:
    """What the filters say, whatever the proxy. Patches without an effect (`OPERATIONS`) are left out."""
    patches: list[Patch] = []
    rejected: list[RejectedPatch] = []
    for one in in_order(filters, root):
        trusted = one.meta.namespace == root and one.meta.annotations.get(ALLOW_PROTECTED) == "true"
        for index, entry in enumerate(one.spec.config_patches):
            try:
                patches += _patch(one.ref, index, entry, trusted=trusted)
            except ValueError as problem:
                rejected.append(RejectedPatch(one.ref, index, "", f"the value {problem}"))
    return Reading(tuple(patches), tuple(rejected))


def _patch(
    ref: str, index: int, entry: EnvoyFilterEnvoyConfigObjectPatch, *, trusted: bool
) -> Iterator[Patch]:
    patch = entry.patch
    operation = OPERATIONS.get(entry.apply_to, {}).get(patch.operation) if patch else None
    if patch is None or operation is None:
        return
    if operation != "REMOVE" and patch.value is None:
        raise ValueError(f"is missing: {patch.operation} needs one")
    written = patch.value or {}
    value = None if operation == "REMOVE" else read(entry.apply_to, written)
    match = entry.match or ANYWHERE
    yield Patch(
        ref, index, entry.apply_to, operation, match, value, written, trusted, filter_class=patch.filter_class
    )


def for_proxy(patch: Patch, proxy: Proxy) -> bool:
    """Whether the patch is for proxies of this version and metadata. Versions are searched, as in Istio; a
    proxy that does not tell its version has none that a patch could mean."""
    wanted = patch.match.proxy
    if wanted is None:
        return True
    if any(proxy.metadata.get(key) != value for key, value in wanted.metadata.items()):
        return False
    if not wanted.proxy_version:
        return True
    version, pattern = proxy.metadata.get("ISTIO_VERSION"), _pattern(wanted.proxy_version)
    return (
        isinstance(version, str) and version != "" and pattern is not None and bool(pattern.search(version))
    )


@lru_cache(maxsize=1024)
def _pattern(text: str) -> Any:
    """The expression; None when RE2 refuses it or it is too long: it means no version then."""
    if len(text.encode("utf-8", "replace")) > MAX_REGEX_BYTES:
        return None
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except (re2.error, UnicodeError):
        return None
