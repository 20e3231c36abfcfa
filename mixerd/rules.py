"""Rules as they lie in the registry: followed, checked to be galleyd's, and put into force."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from prometheus_client import Gauge

from artemon import validate
from artemon.adapters.rulebook import Rulebook, rulebook
from artemon.daemon.run import Context
from artemon.daemon.signers import Forged, Signers
from artemon.errors import Problem
from artemon.model.kinds import INSTANCE, MIXER_KINDS, RULE
from artemon.model.resource import Resource
from artemon.model.tolerant import decode_tolerantly
from artemon.pki import signing
from artemon.store.api import Entry, Store
from artemon.store.follow import Follow, FollowMetrics
from artemon.store.layout import Layout
from artemon.store.mirror import Changes
from artemon.store.typed import Corrupt, read

SETTLE_SECONDS = 0.1


class Rules:
    """Keeps `book` true. signers: whose values are taken; None: everybody's. data_dir: where views are saved,
    for a start without the registry."""

    def __init__(
        self,
        store: Store,
        layout: Layout,
        context: Context,
        *,
        root: str,
        signers: Signers | None,
        data_dir: Path,
    ) -> None:
        self._layout, self._log, self._root, self._signers = layout, context.log, root, signers
        self.book = Rulebook()
        self._good: dict[str, Resource[Any]] = {}
        self._bad: dict[str, str] = {}
        self._news = asyncio.Event()
        self.ready = False
        """Whether there is all that may be judged by, in force: read from the registry, or what was saved."""
        self._complete = False
        views = FollowMetrics(context.metrics)

        def follow(
            name: str, prefix: str, handle: Callable[[Changes], None], only: tuple[str, ...] = ()
        ) -> Follow:
            file = data_dir / f"{name}.snapshot"
            return Follow(store, prefix, handle, name=name, file=file, metrics=views, only=only)

        self._papers = follow("signers", layout.signers, self._take_signers)
        kinds = tuple(f"{layout.configs}{kind.plural}/" for kind in MIXER_KINDS)
        self._rules = follow("rules", layout.configs, self._take, kinds)
        bad = Gauge("mixerd_rules_bad", "Objects of rules that cannot be used.", registry=context.metrics)
        bad.set_function(lambda: len(self._bad) + len(self.book.problems))

    async def run(self) -> None:
        """Follow the registry until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._papers.run())
            await self._papers.warm.wait()  # first, or nothing that was saved would be taken
            tasks.create_task(self._rules.run())
            await self._rules.synced.wait()
            self._news.set()  # also where there are no rules at all

    async def changed(self) -> Rulebook:
        """Return the rules when they are others than before; several changes at once count as one."""
        await self._news.wait()
        await asyncio.sleep(SETTLE_SECONDS)
        self._news.clear()
        self._complete = self._rules.synced.is_set() or self._rules.saved
        book = rulebook(self._good.values(), root=self._root)
        self.book = replace(book, closed=book.closed | self._unread())
        for ref, problems in self.book.problems.items():
            self._log.error("rule_unusable", object=ref, reason="; ".join(map(str, problems[:3])))
        return self.book

    def _unread(self) -> set[str]:
        """Namespaces of rules and instances that were never good: what they would check is not known."""
        places = [key.split("/") for key in self._bad.keys() - self._good.keys()]
        return {parts[2] for parts in places if parts[1] in (RULE.plural, INSTANCE.plural)}

    def in_force(self) -> None:
        """The rules that `changed` returned last count from now on."""
        self.ready = self._complete

    def problems(self) -> list[dict[str, str]]:
        """Objects that cannot be used, and why."""
        found = [{"object": key, "reason": why} for key, why in self._bad.items()]
        found += [
            {"object": ref, "reason": str(problem)}
            for ref, problems in self.book.problems.items()
            for problem in problems
        ]
        return found

    def _take(self, changes: Changes) -> None:
        for entry in changes.upserts:
            self._read(entry)
        for entry in changes.deletes:
            key = self._layout.relative(entry.key)
            self._good.pop(key, None)
            self._bad.pop(key, None)
        self._news.set()

    def _read(self, entry: Entry) -> None:
        key = self._layout.relative(entry.key)
        try:
            self._good[key] = self._resource(key, entry)
            self._bad.pop(key, None)
        except (Forged, Corrupt, _Unusable) as error:  # the last good one stays
            self._bad[key] = str(error)
            self._log.error("registry_value_unusable", key=entry.key, reason=error)

    def _resource(self, key: str, entry: Entry) -> Resource[Any]:
        if self._signers is None:
            body = signing.split(entry.value)[0]
        else:
            body = self._signers.body(key, entry.value)
        decoded = decode_tolerantly(read(Entry(entry.key, body, entry.version), dict))
        found: Iterable[Problem] = decoded.wrong
        if decoded.resource is not None:
            found = [one for one in validate.problems(decoded.resource) if one.level == "error"]
        if decoded.resource is None or found:
            raise _Unusable("; ".join(map(str, found)))
        return decoded.resource

    def _take_signers(self, changes: Changes) -> None:
        """Other keys count: what could not be taken before is judged again."""
        if self._signers is None:
            return
        for one in changes.upserts:
            self._signers.take(one.key.removeprefix(self._layout.signers), one.value)
        for one in changes.deletes:
            self._signers.take(one.key.removeprefix(self._layout.signers), None)
        bad = set(self._bad)
        for entry in self._rules.entries.values():
            if self._layout.relative(entry.key) in bad:
                self._read(entry)
        self._news.set()


class _Unusable(Exception):
    """The object has problems."""
