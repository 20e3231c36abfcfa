"""Rules of somebody else that lead all connections to a port, whatever their chains are called.

A rule that is narrowed to ports, destinations or an interface (a cache for port 80, what docker publishes) is
another matter, and so is what is reached by such a rule alone.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

OURS = "artemon"
_TARGET = re.compile(r"(^|\s)(redirect|tproxy|-j REDIRECT|-j TPROXY)(\s|$)")
_JUMP = re.compile(r"(?:jump|goto|-j|-g) (\S+)")
_NARROW = re.compile(r"dports?\b|daddr(?! !=)|(?<!! )-d |\biif(name)? (?!!=)|(?<!! )-i |udp|icmp")
_BASE = re.compile(r"type (nat|filter) hook (output|prerouting)")
_BUILT_IN = {"OUTPUT", "PREROUTING"}
Chains = Mapping[str, Sequence[str]]


def elsewhere(ruleset: str, saved: Iterable[str]) -> tuple[str, ...]:
    """Where such rules are, as `table chain`. ruleset: of `nft list ruleset`; saved: of iptables-save and its
    like."""
    found = {
        where
        for table, chains in _tables_of_nft(ruleset)
        for where in _leading(table, chains, _based(chains))
    }
    for text in saved:
        for table, chains in _tables_of_iptables(text):
            found |= set(_leading(table, chains, [one for one in chains if one in _BUILT_IN]))
    return tuple(sorted(found))


def _based(chains: Chains) -> list[str]:
    return [name for name, rules in chains.items() if any(_BASE.search(rule) for rule in rules)]


def _leading(table: str, chains: Chains, begin: Iterable[str]) -> Iterator[str]:
    """Chains with such a rule, among those that every connection comes to."""
    waiting, seen = list(begin), set(begin)
    while waiting:
        name = waiting.pop()
        for rule in chains.get(name, ()):
            if _NARROW.search(rule):
                continue
            if _TARGET.search(rule):
                yield f"{table} {name}"
            for further in _JUMP.findall(rule):
                if further in chains and further not in seen:
                    seen.add(further)
                    waiting.append(further)


def _tables_of_nft(text: str) -> Iterator[tuple[str, Chains]]:
    table, chain = "", ""
    tables: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for line in (one.strip() for one in text.splitlines()):
        words = line.split()
        if line.endswith("{") and words[0] == "table":
            table, chain = " ".join(words[1:3]), ""
        elif line.endswith("{") and words[0] == "chain":
            chain = words[1]
        elif line == "}":
            chain = ""
        elif chain:
            tables[table][chain].append(line)
    return ((name.split()[-1], chains) for name, chains in tables.items() if name.split()[-1] != OURS)


def _tables_of_iptables(text: str) -> Iterator[tuple[str, Chains]]:
    tables: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith("-A "):
            _, chain, rule = line.split(" ", 2)
            if not rule.count("ARTEMON_") and not chain.startswith("ARTEMON_"):
                tables[table][chain].append(rule)
    yield from tables.items()
