"""DestinationRules: which ones a client follows for a service, merged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from artemon.model.destination_rule import DestinationRule
from artemon.model.hosts import covers, resolve, specificity
from artemon.model.resource import Resource
from artemon.model.selector import matches
from artemon.snapshot.memo import Memo
from artemon.snapshot.view import Destination

Rule = Resource[DestinationRule]


@dataclass(frozen=True, slots=True)
class RuleSpace:
    """The rules of one namespace by full host, oldest first, and its wildcard hosts, most specific first."""

    by_host: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict)
    wildcards: tuple[str, ...] = ()
    selecting: tuple[Rule, ...] = ()
    """Those with a workloadSelector."""

    def candidates(self, host: str) -> Iterable[tuple[Rule, ...]]:
        """Rules for `host`, those of its most specific pattern first."""
        if host in self.by_host:
            yield self.by_host[host]
        for pattern in self.wildcards:
            if pattern != host and covers(pattern, host):
                yield self.by_host[pattern]


EMPTY = RuleSpace()


def rule_spaces(rules: Iterable[Rule], domain: str) -> dict[str, RuleSpace]:
    """Rules (oldest first) by their namespace."""
    found: defaultdict[str, defaultdict[str, list[Rule]]] = defaultdict(lambda: defaultdict(list))
    for rule in rules:
        host = resolve(rule.spec.host, rule.meta.namespace, domain=domain)
        found[rule.meta.namespace][host].append(rule)
    return {namespace: _space(by_host) for namespace, by_host in found.items()}


def _space(by_host: Mapping[str, Sequence[Rule]]) -> RuleSpace:
    wildcards = sorted((host for host in by_host if host.startswith("*")), key=specificity, reverse=True)
    every = (rule for rules in by_host.values() for rule in rules)
    return RuleSpace(
        by_host={host: tuple(rules) for host, rules in by_host.items()},
        wildcards=tuple(wildcards),
        selecting=tuple(rule for rule in every if _selector(rule)),
    )


@dataclass(frozen=True, slots=True)
class RuleBook:
    """All rules, as one kind of client reads them.

    namespace: the client's. selected: ids (`Resource.ref`) of the rules with a workloadSelector that
    matches it. default_export: meshConfig.defaultDestinationRuleExportTo.
    """

    spaces: Mapping[str, RuleSpace]
    namespace: str
    root: str
    selected: frozenset[str]
    default_export: tuple[str, ...]

    def rules(self, host: str, owner: str) -> tuple[Rule, ...]:
        """The rules in force for a host of namespace `owner`: from the client's namespace, else exported ones
        of the owner's, else exported ones of the root namespace. A client in the root namespace reads its
        own private rules first, its exported ones last."""
        own = self.namespace
        orders = ((own, False), (owner, True), (self.root, True))
        for space, exported in orders:
            for candidates in self.spaces.get(space, EMPTY).candidates(host):
                usable = [rule for rule in candidates if self._usable(rule, exported=exported)]
                if usable:
                    return self._chosen(usable)
        return ()

    def _usable(self, rule: Rule, *, exported: bool) -> bool:
        if _selector(rule) and (rule.meta.namespace != self.namespace or rule.ref not in self.selected):
            return False
        export = rule.spec.export_to or self.default_export or ("*",)
        names = {rule.meta.namespace if name == "." else name for name in export}
        if exported:
            return "*" in names or self.namespace in names
        return self.namespace != self.root or names == {self.root}

    @staticmethod
    def _chosen(usable: Sequence[Rule]) -> tuple[Rule, ...]:
        """Rules made for this workload stand alone before those for all."""
        return tuple(rule for rule in usable if _selector(rule)) or tuple(usable)


def selected_rules(space: RuleSpace, labels: Mapping[str, str]) -> frozenset[str]:
    """The rules of a namespace whose workloadSelector matches `labels`."""
    return frozenset(rule.ref for rule in space.selecting if matches(_selector(rule), labels))


def merge(host: str, *rules: Rule) -> Destination:
    """One destination of several rules: the first policy counts, of subsets the first with each name."""
    subsets = {subset.name: subset for rule in reversed(rules) for subset in reversed(rule.spec.subsets)}
    order = dict.fromkeys(subset.name for rule in rules for subset in rule.spec.subsets)
    policies = (rule.spec.traffic_policy for rule in rules if rule.spec.traffic_policy is not None)
    return Destination(
        host=host,
        policy=next(policies, None),
        subsets=tuple(subsets[name] for name in order),
        rules=rules,
    )


def destination(memo: Memo, host: str, rules: tuple[Rule, ...]) -> Destination:
    """`merge`, made once for the same host and rules."""
    return memo.get(_merge, *rules, by=(host,))


def _merge(*arguments: object) -> Destination:
    *rules, host = arguments
    return merge(str(host), *rules)  # type: ignore[arg-type]


def _selector(rule: Rule) -> Mapping[str, str]:
    chosen = rule.spec.workload_selector
    return chosen.match_labels if chosen else {}
