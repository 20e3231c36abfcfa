"""From reports to rows: every rule that holds sends its instances to its handlers."""

from __future__ import annotations

import time
from collections import ChainMap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter

from artemon.adapters import Row, Variety
from artemon.adapters.rulebook import ReadyRule, Rulebook
from artemon.expr import EvaluationError, Manifest
from artemon.log import Log
from mixerd.attributes import Bag
from mixerd.handling import Handlers
from mixerd.records import DESTINATION, Call
from mixerd.sampling import Sampler


@dataclass(frozen=True, slots=True)
class _Scope:
    """What concerns the workloads of one namespace."""

    rules: tuple[ReadyRule, ...]
    manifest: Manifest


class Dispatch:
    """Looks at entries. root: the namespace whose rules are for all; now: seconds, monotonic."""

    def __init__(
        self,
        handlers: Handlers,
        metrics: CollectorRegistry,
        log: Log,
        *,
        root: str,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._handlers, self._log, self._root, self._now = handlers, log, root, now
        self.book = Rulebook()
        self._samplers: dict[str, Sampler] = {}
        self._scopes: dict[str, _Scope] = {}
        self._failed = Counter(
            "mixerd_rule_errors", "Expressions that gave no value.", ["rule"], registry=metrics
        )
        self._told: set[tuple[str, str]] = set()

    def become(self, book: Rulebook) -> None:
        """From now on these rules count."""
        self.book = book
        self._samplers = {
            one.name: Sampler(one.sampling, self._now) for one in book.rules if one.sampling is not None
        }
        self._scopes.clear()
        self._told.clear()

    def take(self, entry: Any, call: Call) -> None:
        """Look at one entry of an access log."""
        if not self.book.rules:
            return
        namespace = call.namespace if call.reporter == DESTINATION else call.source_namespace
        scope = self._scope(namespace)
        if not scope.rules:
            return
        bag = Bag(entry, call, scope.manifest)
        for rule in scope.rules:
            self._try(rule, bag)

    def _try(self, rule: ReadyRule, bag: Bag) -> None:
        try:
            if rule.match is not None and not rule.match.evaluate(bag).value:
                return
        except EvaluationError:  # absent attributes: it does not hold, as in Mixer
            return
        sampler = self._samplers.get(rule.name)
        if sampler is not None and not sampler.takes(bag):
            return
        for action in rule.actions[Variety.REPORT]:
            running = self._handlers.running.get(action.handler)
            if running is None:
                continue
            for shape in action.shapes:
                try:
                    row = Row(shape.name, shape.template.name, shape.values(bag))
                except EvaluationError as error:
                    self._say(rule, shape.name, error)
                    continue
                running.offer(row)

    def _scope(self, namespace: str) -> _Scope:
        found = self._scopes.get(namespace)
        if found is None:
            rules = self.book.of(namespace, self._root, Variety.REPORT)
            own = [self.book.manifests.get(one, {}) for one in (self._root, namespace)]
            manifest: Mapping[str, Any] = ChainMap(*map(dict, own))
            found = self._scopes[namespace] = _Scope(rules, manifest)
        return found

    def _say(self, rule: ReadyRule, where: str, error: EvaluationError) -> None:
        """Count it, and log the first of its kind."""
        self._failed.labels(rule.name).inc()
        if (rule.name, where) not in self._told:
            self._told.add((rule.name, where))
            self._log.warning("rule_gives_no_value", rule=rule.name, where=where, reason=error)
