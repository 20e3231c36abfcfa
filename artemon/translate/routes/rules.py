"""Which VirtualServices speak for a host: the most specific first, the older before the newer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from artemon.model.hosts import covers, specificity
from artemon.model.resource import Resource
from artemon.model.virtual_service import VirtualService
from artemon.translate.routes.scope import MESH

Rule = Resource[VirtualService]


def speaks_for(rule: Rule, gateway: str) -> bool:
    """Whether a rule is bound to a gateway, or to sidecars (`mesh`), as it is when it names none."""
    return gateway in rule.spec.gateways if rule.spec.gateways else gateway == MESH


class Rules:
    """The rules of sidecars by host. Built from VirtualServices in order of age."""

    def __init__(self, resources: Iterable[Rule]) -> None:
        self._exact: dict[str, list[Rule]] = {}
        self._wildcards: dict[str, list[Rule]] = {}
        for rule in resources:
            if speaks_for(rule, MESH):
                for host in rule.spec.hosts:
                    index = self._wildcards if host.startswith("*") else self._exact
                    index.setdefault(host, []).append(rule)

    def for_host(self, host: str) -> tuple[Rule, ...]:
        """Every rule that covers a host, best first."""
        exact = self._exact.get(host, []) if not host.startswith("*") else self._wildcards.get(host, [])
        patterns = [p for p in self._wildcards if p != host and covers(p, host)]
        found = list(exact)
        for pattern in sorted(patterns, key=specificity, reverse=True):
            found += self._wildcards[pattern]
        return tuple({id(rule): rule for rule in found}.values())

    def hosts(self) -> Iterator[str]:
        """Every host that a rule names."""
        yield from self._exact
        yield from self._wildcards


def asked_labels(resources: Iterable[Rule]) -> frozenset[str]:
    """The labels of clients that some match asks for; by all others, clients cannot be told apart."""
    found: set[str] = set()
    for rule in resources:
        for many in (rule.spec.http, rule.spec.tls, rule.spec.tcp):
            found.update(label for route in many for match in route.match for label in match.source_labels)
    return frozenset(found)


def named_hosts(rule: Rule) -> tuple[str, ...]:
    """The hosts that the HTTP routes of a rule send requests to, copies of them too."""
    found: dict[str, None] = {}
    for route in rule.spec.http:
        mirrors = (route.mirror, *(one.destination for one in route.mirrors))
        for target in (*(one.destination for one in route.route), *mirrors):
            if target is not None:
                found[target.host] = None
    return tuple(found)
