"""Which VirtualServices speak for a host: the most specific first, the older before the newer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from artemon.model.hosts import covers, specificity
from artemon.model.resource import Resource
from artemon.model.virtual_service import VirtualService
from artemon.snapshot.memo import Memo, portions
from artemon.translate.routes.scope import MESH

Rule = Resource[VirtualService]


def speaks_for(rule: Rule, gateway: str) -> bool:
    """Whether a rule is bound to a gateway, or to sidecars (`mesh`), as it is when it names none."""
    return gateway in rule.spec.gateways if rule.spec.gateways else gateway == MESH


@dataclass(frozen=True, slots=True)
class Asked:
    """What a rule wants to know. hosts: those that its HTTP routes send requests to, copies of them too.
    labels, namespace: which labels of clients, and whether their namespace, decide on some match."""

    hosts: tuple[str, ...]
    labels: frozenset[str]
    namespace: bool


def asked(rule: Rule) -> Asked:
    """What a rule wants to know."""
    matches = [
        match for many in (rule.spec.http, rule.spec.tls, rule.spec.tcp) for r in many for match in r.match
    ]
    return Asked(
        hosts=_named_hosts(rule),
        labels=frozenset(label for match in matches for label in match.source_labels),
        namespace=any(match.source_namespace for match in matches),
    )


class _Part:
    """Some of the rules, neighbours in age."""

    def __init__(self, memo: Memo, *rules: Rule) -> None:
        self.asked = {id(rule): memo.get(asked, rule) for rule in rules}
        self.labels = frozenset().union(*(one.labels for one in self.asked.values()))
        self.exact: dict[str, tuple[Rule, ...]] = {}
        self.wildcards: dict[str, tuple[Rule, ...]] = {}
        for rule in rules:
            if speaks_for(rule, MESH):
                for host in rule.spec.hosts:
                    _append(self.wildcards if host.startswith("*") else self.exact, {host: (rule,)})


def _append(index: dict[str, tuple[Rule, ...]], more: Mapping[str, tuple[Rule, ...]]) -> None:
    if index.keys().isdisjoint(more):
        index.update(more)
    else:
        for host, rules in more.items():
            index[host] = (*index.get(host, ()), *rules)


class Rules:
    """The rules of sidecars by host. Built from VirtualServices in order of age."""

    def __init__(self, resources: Sequence[Rule], memo: Memo | None = None) -> None:
        memo = Memo() if memo is None else memo
        self._exact: dict[str, tuple[Rule, ...]] = {}
        self._wildcards: dict[str, tuple[Rule, ...]] = {}
        self._asked: dict[int, Asked] = {}
        parts = [memo.get(_Part, memo, *some) for some in portions(resources)]
        for part in parts:
            self._asked.update(part.asked)
            _append(self._exact, part.exact)
            _append(self._wildcards, part.wildcards)
        self.labels = frozenset().union(*(part.labels for part in parts))
        """The labels of clients that some rule asks for; by all others, clients cannot be told apart."""

    def asked(self, rule: Rule) -> Asked:
        """What one of these rules wants to know."""
        return self._asked[id(rule)]

    def for_host(self, host: str) -> tuple[Rule, ...]:
        """Every rule that covers a host, best first."""
        exact = (self._wildcards if host.startswith("*") else self._exact).get(host, ())
        patterns = [p for p in self._wildcards if p != host and covers(p, host)]
        if not patterns and len(exact) < 2:
            return exact
        found = list(exact)
        for pattern in sorted(patterns, key=specificity, reverse=True):
            found += self._wildcards[pattern]
        return tuple({id(rule): rule for rule in found}.values())

    def changed_since(self, older: Rules) -> set[str] | None:
        """The hosts that other rules speak for than those of `older`; None for more than can be listed."""
        if self._wildcards != older._wildcards:
            return None
        before, now = older._exact, self._exact
        return {host for host in before.keys() | now.keys() if before.get(host) != now.get(host)}

    def hosts(self) -> Iterator[str]:
        """Every host that a rule names."""
        yield from self._exact
        yield from self._wildcards


def _named_hosts(rule: Rule) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for route in rule.spec.http:
        mirrors = (route.mirror, *(one.destination for one in route.mirrors))
        for target in (*(one.destination for one in route.route), *mirrors):
            if target is not None:
                found[target.host] = None
    return tuple(found)
