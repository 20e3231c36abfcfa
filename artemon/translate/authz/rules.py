"""One rule of an AuthorizationPolicy as one of Envoy's RBAC policies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from envoy.config.rbac.v3.rbac_pb2 import Permission, Policy, Principal

from artemon.model.authorization_policy import Condition, Operation, Rule, Source
from artemon.translate.authz import callers, conditions, targets
from artemon.translate.authz.ground import Ground, NotHere

T = TypeVar("T")
Make = Callable[[Sequence[str], Ground, bool], list[Any]]

_SOURCE: Mapping[str, Make] = {
    "principals": callers.principals,
    "request_principals": callers.request_principals,
    "namespaces": callers.namespaces,
    "service_accounts": callers.service_accounts,
    "trust_domains": callers.trust_domains,
    "remote_ip_blocks": callers.remote_ip_blocks,
    "ip_blocks": callers.ip_blocks,
}
_IDENTITIES = frozenset({"principals", "namespaces", "service_accounts", "trust_domains"})
_OPERATION: Mapping[str, Make] = {
    "hosts": targets.hosts,
    "methods": targets.methods,
    "paths": targets.paths,
    "ports": targets.ports,
}


@dataclass(frozen=True, slots=True)
class _Question:
    """Values of one field. identity: whether only mutual TLS tells the answer."""

    make: Make
    values: Sequence[str]
    unwanted: Sequence[str]
    identity: bool = False


def policy_of(rule: Rule, ground: Ground) -> Policy | None:
    """The rule for Envoy; None where it cannot be evaluated, and so must allow nothing.

    What the filter cannot see (requests, on connections) makes a rule that allows void, and drops out of all
    others, which makes them wider.
    """
    sources = [origin.source or Source() for origin in rule.from_] or [Source()]
    operations = [target.operation or Operation() for target in rule.to] or [Operation()]
    try:
        return Policy(
            permissions=[
                _permission([*_of(one, _OPERATION), *_when(rule.when, conditions.target)], ground)
                for one in operations
            ],
            principals=[
                _principal([*_of(one, _SOURCE), *_when(rule.when, conditions.caller)], ground)
                for one in sources
            ],
        )
    except NotHere:
        return None


def looks_at_paths(rule: Rule) -> bool:
    """Whether the path of a request decides."""
    operations = (target.operation for target in rule.to if target.operation)
    return any(one.paths or one.not_paths for one in operations) or any(
        conditions.is_path(when.key) for when in rule.when
    )


def _of(message: Source | Operation, table: Mapping[str, Make]) -> Iterator[_Question]:
    for name, make in table.items():
        yield _Question(make, getattr(message, name), getattr(message, f"not_{name}"), name in _IDENTITIES)


def _when(when: Sequence[Condition], find: Callable[[str], Make | None]) -> Iterator[_Question]:
    for one in when:
        make = find(one.key)
        if make is not None:
            yield _Question(make, one.values, one.not_values, one.key in conditions.IDENTITIES)


def _matchers(question: _Question, values: Sequence[str], ground: Ground, *, wide: bool) -> list[Any]:
    if not values:
        return []
    try:
        return question.make(values, ground, wide)
    except NotHere:
        if ground.action == "ALLOW":
            raise
        return []


def _permission(questions: Sequence[_Question], ground: Ground) -> Permission:
    parts: list[Permission] = []
    for one in questions:
        wanted = _matchers(one, one.values, ground, wide=ground.is_wide)
        unwanted = _matchers(one, one.unwanted, ground, wide=not ground.is_wide)
        if wanted:
            parts.append(Permission(or_rules=Permission.Set(rules=wanted)))
        if unwanted:
            parts.append(Permission(not_rule=Permission(or_rules=Permission.Set(rules=unwanted))))
    return Permission(and_rules=Permission.Set(rules=parts or [Permission(any=True)]))


def _principal(questions: Sequence[_Question], ground: Ground) -> Principal:
    parts: list[Principal] = []
    for one in questions:
        wanted = _matchers(one, one.values, ground, wide=ground.is_wide)
        unwanted = _matchers(one, one.unwanted, ground, wide=not ground.is_wide)
        if wanted and one.identity and ground.identified and ground.action == "DENY":
            wanted.append(Principal(not_id=callers.somebody()))
        if unwanted and one.identity and ground.identified and ground.action == "ALLOW":
            parts.append(callers.somebody())
        if wanted:
            parts.append(Principal(or_ids=Principal.Set(ids=wanted)))
        if unwanted:
            parts.append(Principal(not_id=Principal(or_ids=Principal.Set(ids=unwanted))))
    return Principal(and_ids=Principal.Set(ids=parts or [Principal(any=True)]))
