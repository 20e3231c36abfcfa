"""Who holds which hosts: claims, what they are judged by, and whose a name is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from artemon.model.access import HostGrant
from artemon.model.gateway import Gateway
from artemon.model.hosts import DEFAULT_DOMAIN
from artemon.model.resource import Resource
from artemon.model.service_entry import ServiceEntry
from artemon.model.virtual_service import VirtualService

MESH = "mesh"
OTHERS = "*"
"""As an owner: namespaces that are not known one by one."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A hold on `what` at `path` that its namespace does not own. owner: whose it is, or OTHERS. abroad:
    it is one only because other namespaces see the object. lendable: the owner may allow it."""

    path: str
    what: str
    owner: str
    reason: str
    abroad: bool = False
    lendable: bool = True


@dataclass(frozen=True, slots=True)
class Stock:
    """What else there is. guarded: addresses that no object of a user may lead to. namespaces: the known.
    workloads: labels of what can be a proxy."""

    routes: Sequence[Resource[VirtualService]] = ()
    gateways: Sequence[Resource[Gateway]] = ()
    workloads: Sequence[Mapping[str, str]] = ()
    entries: Sequence[Resource[ServiceEntry]] = ()
    grants: Sequence[Resource[HostGrant]] = ()
    guarded: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    domain: str = DEFAULT_DOMAIN


def plain(host: str) -> str:
    """A host as names are compared: lower case, no dot at the end."""
    return host.lower().removesuffix(".")


def stays_home(export_to: Sequence[str], namespace: str) -> bool:
    """Whether only clients of `namespace` can see the object. Absent is everybody."""
    return bool(export_to) and all(name in (".", "~", namespace) for name in export_to)


def owners(host: str, stock: Stock) -> set[str]:
    """The namespaces that own, by name, what `host` matches; OTHERS stands for more than can be told.

    A service is also reached by the beginnings of its full name: `<service>.<namespace>`, with `.svc`, ...
    """
    found: set[str] = set()
    for suffix in _suffixes(stock.domain):
        if host.startswith("*"):
            found |= _owners_of_wildcard(host[1:], suffix)
        elif host.endswith(suffix):
            found.add(host.removesuffix(suffix).rpartition(".")[2])
    short = host.removeprefix("*").removeprefix(".")
    if "." not in short or (short.count(".") == 1 and not host.startswith("*")):
        label = short.rpartition(".")[2]
        known = label in stock.namespaces
        found |= {label} if known else {OTHERS} if host.startswith("*") else set()
    return found - {""}


def _suffixes(domain: str) -> list[str]:
    """`.svc`, `.svc.cluster`, `.svc.cluster.local`."""
    labels = ["svc", *domain.split(".")]
    return ["." + ".".join(labels[: count + 1]) for count in range(len(labels))]


def _owners_of_wildcard(tail: str, suffix: str) -> set[str]:
    if suffix.endswith(tail):
        return {OTHERS}
    if not tail.endswith(suffix):
        return set()
    label = tail.removesuffix(suffix)
    return {label.rpartition(".")[2] if "." in label else OTHERS}


def named(owner: str) -> str:
    return "other namespaces" if owner == OTHERS else f"namespace {owner}"


def is_older(other: Resource[Any], one: Resource[Any]) -> bool:
    """Whether `other` was there first; what is not written yet is the youngest."""
    return not one.meta.created or other.meta.created <= one.meta.created
