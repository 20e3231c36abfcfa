"""Machines that another registry knows, and that joined.

The registry says what they are: an instance stays the registry's, with its address, ports, labels, weight and
checks. How it is reached, its proxy knows: that it terminates mutual TLS, and that it is about to go. This
counts where both say the same address and service account.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from artemon.model.service import Endpoint, Health
from artemon.model.workload import Workload
from artemon.snapshot.services import REGISTERED, Source

Place = tuple[str, str, str]
"""Registry, namespace, address."""


class Adoptions:
    """Which instances of other registries have joined, kept up to date one change at a time."""

    def __init__(self) -> None:
        self._joined: dict[str, Workload] = {}
        self._at: defaultdict[Place, dict[str, None]] = defaultdict(dict)
        self._sources: defaultdict[Place, dict[str, None]] = defaultdict(dict)

    def put(self, key: str, workload: Workload | None) -> set[str]:
        """The workload under a key is this one now. Returns the sources that have its instance."""
        touched: set[str] = set()
        old = self._joined.pop(key, None)
        if old is not None:
            self._at[_place(old)].pop(key, None)
            touched |= self._sources[_place(old)].keys()
        if workload is not None and workload.registry:
            self._joined[key] = workload
            self._at[_place(workload)][key] = None
            touched |= self._sources[_place(workload)].keys()
        return touched

    def know(self, source: Source, *, gone: bool = False) -> None:
        """There is a source, or there is no more."""
        if source.rank < REGISTERED:
            return
        for one in source.inline:
            place = _registry(source), one.namespace, one.address
            if gone:
                self._sources[place].pop(source.id, None)
            else:
                self._sources[place][source.id] = None

    def shown(self, source: Source) -> tuple[Endpoint, ...]:
        """The instances of a source, with what the proxies of those that joined know."""
        if source.rank < REGISTERED or not self._joined:
            return source.inline
        return tuple(self._told(source, one) for one in source.inline)

    def _told(self, source: Source, endpoint: Endpoint) -> Endpoint:
        for key in self._at.get((_registry(source), endpoint.namespace, endpoint.address), ()):
            workload = self._joined[key]
            if workload.service_account == endpoint.service_account:
                healthy = endpoint.health is Health.HEALTHY
                health = workload.health if healthy else endpoint.health
                return replace(endpoint, mtls=workload.mtls, node=workload.node, health=health)
        return endpoint


def _registry(source: Source) -> str:
    """`registry/<name>/...` is the id of what a registry knows."""
    return source.id.split("/")[1] if source.id.startswith("registry/") else ""


def _place(workload: Workload) -> Place:
    return workload.registry, workload.namespace, workload.address
