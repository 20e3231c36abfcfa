"""Policies with several fields, drawn by a seed: every pair of fields in every action, triples, and several
policies together. Requests and connections that differ in what a policy looks at."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import Any

from policy_authorizers import PROVIDERS
from policy_fields import CONDITIONS, OPERATIONS, SOURCES
from policy_reference import IDENTITIES, Alternatives, Asked, Term, Terms, Written
from policy_rig import ISSUER
from servers import WORKER

HTTP, TCP, HTTPS, TLS = 18080, 18081, 18443, 18444
"""Ports of workloads; gateways have two more, where mutual TLS ends."""
GRPC, SNIFFED, SNIFFED_GRPC = 18082, 18083, 18084
"""More ports of workloads: for gRPC, and two without a protocol."""
PROTOCOLS = {HTTP: "HTTP", TCP: "TCP", GRPC: "GRPC", SNIFFED: "", SNIFFED_GRPC: ""}
OVER = ("http/1.1", "h2", "grpc")
WAYS = (("http/1.1", HTTP), ("h2", HTTP), ("grpc", GRPC), ("http/1.1", SNIFFED), ("grpc", SNIFFED_GRPC))
"""How requests come to a workload, and the port that takes them so."""
WEB, OTHER = "cluster.local/ns/default/sa/web", "old.example/ns/far/sa/other"
ACTIONS = ("ALLOW", "DENY", "CUSTOM")
VALUES = {
    name: [one.replace("8080", str(HTTP)) if "port" in name else one for one in many if " " not in one]
    for name, many in {**SOURCES, **OPERATIONS, **CONDITIONS}.items()
}
TOKENS = {"requestPrincipals", *(name for name in CONDITIONS if name.startswith("request.auth."))}
CLAIMS: tuple[dict[str, Any] | None, ...] = (
    None,
    {"iss": ISSUER, "sub": "alice", "aud": "api", "azp": "app", "groups": ["dev", "admin"], "a": {"b": "c"}},
    {"iss": ISSUER, "sub": "bob", "aud": ["x"], "azp": "y", "groups": "dev"},
    {"iss": ISSUER, "sub": "team/alice", "aud": "api", "azp": "app", "groups": [True], "a": {"b": 7}},
    {"iss": ISSUER, "sub": "carol", "aud": "api", "azp": "app", "groups": True, "a": {"b": {"c": "7"}}},
)
PATHS = ("/exact", "/exact?x", "/prefix/", "/x/suffix", "/a/b/b", "/a/b/c/b", "/a/", "/")
APART = ({"serviceAccounts"}, {"principals", "namespaces"})
"""Fields that one source may not have together."""


@dataclass(frozen=True)
class Case:
    """A workload or gateway with policies of its own."""

    number: int
    gateway: bool
    policies: tuple[Written, ...]

    @property
    def address(self) -> str:
        return f"127.{20 * WORKER + (6 if self.gateway else 5)}.{self.number // 200}.{self.number % 200 + 1}"

    @property
    def label(self) -> str:
        return f"case-{self.number}"

    @property
    def objects(self) -> Iterator[dict[str, Any]]:
        """Its policies as they are written."""
        for index, one in enumerate(self.policies):
            spec: dict[str, Any] = {
                "selector": {"matchLabels": {"app": self.label}},
                "action": one.action,
                "rules": [written(rule) for rule in one.rules],
            }
            if one.action == "CUSTOM":
                spec["provider"] = {"name": one.provider}
            meta: dict[str, Any] = {"name": f"{self.label}-{index}", "namespace": "default"}
            if one.tried:
                meta["annotations"] = {"istio.io/dry-run": "true"}
            yield {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": meta,
                   "spec": spec}  # fmt: skip


def written(rule: Alternatives) -> dict[str, Any]:
    """A rule as it is written."""
    out: dict[str, Any] = {}
    if rule.origins:
        out["from"] = [{"source": _fields(terms)} for terms in rule.origins]
    if rule.operations:
        out["to"] = [{"operation": _fields(terms)} for terms in rule.operations]
    if rule.conditions:
        out["when"] = [
            {"key": one.name, "notValues" if one.negated else "values": list(one.values)}
            for one in rule.conditions
        ]
    return out


def _fields(terms: Terms) -> dict[str, list[str]]:
    return {
        f"not{one.name[0].upper()}{one.name[1:]}" if one.negated else one.name: list(one.values)
        for one in terms
    }


def fields_for(action: str) -> list[str]:
    """The fields that an action may look at."""
    return [name for name in VALUES if action != "CUSTOM" or name not in IDENTITIES | TOKENS]


def served(http: int, grpc: int) -> list[dict[str, Any]]:
    """The ports of a workload, in front of a server of HTTP/1 and one of gRPC."""
    return [
        {"number": number, "name": f"{kind.lower() or 'any'}-{number}", "protocol": kind,
         "listenPort": number, "appPort": grpc if number in (GRPC, SNIFFED_GRPC) else http}
        for number, kind in PROTOCOLS.items()
    ]  # fmt: skip


def over(one: Asked, way: str, port: int) -> Asked:
    """The same request, written another way to another port; gRPC has one method alone."""
    return replace(one, over=way, port=port, method="POST" if way == "grpc" else one.method)


class Draws:
    """Everything that is drawn, by one seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def combinations(self) -> list[tuple[str, Terms]]:
        """Every two fields, wanted and unwanted, in every action; every three fields in one."""
        found = []
        for action in ACTIONS:
            for names in combinations(fields_for(action), 2):
                for negated in product((False, True), repeat=2):
                    found.append((action, self._terms(names, negated)))
        for names in combinations(VALUES, 3):
            action = self._random.choice([one for one in ACTIONS if set(names) <= set(fields_for(one))])
            found.append((action, self._terms(names, [self._random.random() < 0.4 for _ in names])))
        self._random.shuffle(found)
        return found

    def _terms(self, names: Sequence[str], negated: Sequence[bool]) -> Terms:
        return tuple(self._term(name, no) for name, no in zip(names, negated, strict=True))

    def _term(self, name: str, negated: bool) -> Term:
        known = VALUES[name]
        return Term(
            name, tuple(self._random.sample(known, min(len(known), self._random.choice((1, 1, 2))))), negated
        )

    def rule(self, action: str, terms: Terms) -> Alternatives:
        """A rule of these fields; at times with one more alternative."""
        origins = _apart([one for one in terms if one.name in SOURCES])
        operations = [tuple(one for one in terms if one.name in OPERATIONS)]
        conditions = tuple(one for one in terms if one.name in CONDITIONS)
        for many, table in ((origins, SOURCES), (operations, OPERATIONS)):
            names = [name for name in fields_for(action) if name in table]
            if many[0] and self._random.random() < 0.2:
                many.append((self._term(self._random.choice(names), self._random.random() < 0.3),))
        return Alternatives(tuple(filter(None, origins)), tuple(filter(None, operations)), conditions)

    def policies(self, action: str, terms: Terms) -> tuple[Written, ...]:
        """A policy of these fields; at times beside others, only tried, or to look at."""
        chance = self._random.random()
        rule = self.rule(action, terms)
        if chance < 0.05 and action != "CUSTOM":
            return (Written(action, (rule,), tried=True),)
        if chance < 0.1 and action != "CUSTOM":
            return (Written("AUDIT", (rule,)),)
        found = [Written(action, (rule,), self._provider(action))]
        while chance > 0.75 and len(found) < 3:
            other = self._random.choice((*ACTIONS, action))
            names = self._random.sample(fields_for(other), 2)
            more = self.rule(other, self._terms(names, (False, self._random.random() < 0.3)))
            found.append(Written(other, (more,), self._provider(other, found)))
            chance -= 0.1
        return tuple(found)

    def _provider(self, action: str, before: Sequence[Written] = ()) -> str:
        if action != "CUSTOM":
            return ""
        known = [one.provider for one in before if one.provider]
        return self._random.choice(known * 5 or PROVIDERS[:2] * 3 + PROVIDERS)

    def asked(self, case: Case, decides: Callable[[Asked], Any], *, most: int) -> list[Asked]:
        """Requests and connections, of those with each answer about as many."""
        names = {term.name for one in case.policies for rule in one.rules for term in rule.terms}
        by_answer: dict[Any, list[Asked]] = {}
        for _ in range(6 * most):
            one = self._one(case, names)
            known = by_answer.setdefault((one.http, decides(one)), [])
            if one not in known:
                known.append(one)
        share = max(1, most // len(by_answer))
        return [one for many in by_answer.values() for one in many[:share]]

    def _one(self, case: Case, names: set[str]) -> Asked:
        pick = self._random.choice
        identity = pick((None, WEB, OTHER)) if names & IDENTITIES else pick((None, WEB))
        source = pick(("127.0.0.1", "127.0.0.9"))
        if pick((True, True, False)):
            return self._request(case, identity, source)
        port = TLS if case.gateway and identity else TCP
        return Asked(False, port, identity, source, source, case.address)

    def _request(self, case: Case, identity: str | None, source: str) -> Asked:
        pick = self._random.choice
        headers = {"x-let": pick(("in", "out"))}
        if user := pick(("alice", "al", "malice", "bob", "")):
            headers["x-user"] = user
        client = source
        if forwarded := pick(("", "10.1.1.1", "10.1.1.1, 192.0.2.1", "::ffff:10.1.1.1")):
            headers["x-forwarded-for"] = forwarded
            client = source if case.gateway else forwarded.rpartition(" ")[2]
        way, port = pick(WAYS)
        if case.gateway:
            way, port = pick(OVER), HTTPS if identity else HTTP
        found = Asked(
            True,
            port,
            identity,
            source,
            client,
            case.address,
            method=pick(("GET", "GET", "POST", "PUT", "DELETE")),
            path=pick(PATHS),
            host=pick(("a.example", f"A.Example:{HTTP}", "a.example:8080", "b.example", "a.test", "c")),
            headers=headers,
            claims=pick(CLAIMS),
        )
        return over(found, way, port)


def _apart(terms: Sequence[Term]) -> list[Terms]:
    """The terms of one source, or of two where one may not have all."""
    alone = [one for one in terms if one.name in APART[0]]
    if alone and any(one.name in APART[1] for one in terms):
        return [tuple(alone), tuple(one for one in terms if one not in alone)]
    return [tuple(terms)]
