"""What an AuthorizationPolicy means, read from its definition alone: no filters, no matchers of Envoy's."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from itertools import chain
from typing import Any

DOMAINS = ("cluster.local", "old.example")
"""The trust domain of the mesh and its alias."""
NAMESPACE = "default"
"""The namespace of all policies."""


@dataclass(frozen=True)
class Asked:
    """A request, or a connection where `http` is false. identity: `<trust domain>/ns/<ns>/sa/<sa>`. over: how
    a request is written, `http/1.1`, `h2` or `grpc`. by_grpc: a gRPC server itself decides, not a proxy."""

    http: bool
    port: int
    identity: str | None = None
    source: str = "127.0.0.1"
    client: str = "127.0.0.1"
    address: str = "127.0.0.1"
    method: str = "GET"
    path: str = "/"
    host: str = "other.example"
    headers: dict[str, str] = field(default_factory=dict)
    claims: dict[str, Any] | None = None
    sni: str = ""
    over: str = "http/1.1"
    by_grpc: bool = False


def like(pattern: str, text: str | None) -> bool:
    """`*`, `prefix*`, `*suffix` or the very text."""
    if not text:
        return False
    if pattern == "*":
        return True
    if pattern.startswith("*"):
        return text.endswith(pattern[1:])
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern


def starred(pattern: str, text: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), text) is not None


def split(identity: str | None) -> tuple[str, str, str]:
    domain, _, namespace, _, account = (identity or "////").split("/")
    return domain, namespace, account


def principal(value: str, one: Asked) -> bool:
    if one.identity is None:
        return False
    domain, slash, rest = value.partition("/")
    same = [f"{name}/{rest}" for name in DOMAINS] if slash and domain in DOMAINS else [value]
    return any(like(each, one.identity) for each in same)


def namespace(value: str, one: Asked) -> bool:
    return one.identity is not None and starred(value, split(one.identity)[1])


def service_account(value: str, one: Asked) -> bool:
    written, slash, name = value.rpartition("/")
    return split(one.identity)[1:] == (written if slash else NAMESPACE, name)


def trust_domain(value: str, one: Asked) -> bool:
    return one.identity is not None and starred(value, split(one.identity)[0])


def within(block: str, address: str) -> bool:
    """`::ffff:192.0.2.1` is 192.0.2.1, in a policy and in a header."""
    prefix, _, length = block.partition("/")
    if prefix.startswith("::ffff:"):
        block = f"{prefix.removeprefix('::ffff:')}/{int(length) - 96 if length else 32}"
    return ip_address(address.removeprefix("::ffff:")) in ip_network(block, strict=False)


def token_parted_anywhere(value: str, one: Asked) -> bool:
    """Subjects may have slashes."""
    parts, claims = value.split("/"), one.claims or {}
    return token(value, one) or any(
        like("/".join(parts[:end]), claims.get("iss")) and like("/".join(parts[end:]), claims.get("sub"))
        for end in range(1, len(parts))
    )


def token(value: str, one: Asked) -> bool:
    claims = one.claims or {}
    issuer, subject = claims.get("iss"), claims.get("sub")
    if not (issuer and subject):
        return False
    wanted, slash, rest = value.rpartition("/")
    if slash:
        return like(wanted, issuer) and like(rest, subject)
    if value.startswith("*"):
        return like(value, subject)
    return like(value, issuer) and value.endswith("*")


def claim_holds(value: str, one: Asked, *keys: str, wide: bool) -> bool:
    """Text, or a text of a list. wide: other types that read so as well, and any for `*`."""
    found: Any = one.claims or {}
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    if wide and value == "*":
        return found is not None
    each = found if isinstance(found, list) else [found]
    return any(
        like(value, text) if isinstance(text, str) else wide and value == json.dumps(text) for text in each
    )


def host(value: str, one: Asked) -> bool:
    asked, wanted = one.host.lower(), value.lower()
    bare = asked.rpartition(":")[0] if ":" in asked and ":" not in wanted else asked
    return like(wanted, bare)


def path(value: str, one: Asked) -> bool:
    bare = one.path.partition("?")[0]
    if "{" not in value:
        return like(value.replace(" ", "%20").replace("ü", "%C3%BC"), bare)
    pattern = re.escape(value).replace(r"\{\*\*\}", ".*").replace(r"\{\*\}", "[^/]+")
    return re.fullmatch(pattern, bare) is not None


FIELDS: dict[str, Any] = {
    "principals": principal,
    "requestPrincipals": token,
    "namespaces": namespace,
    "serviceAccounts": service_account,
    "trustDomains": trust_domain,
    "ipBlocks": lambda value, one: within(value, one.source),
    "remoteIpBlocks": lambda value, one: within(value, one.client if one.http else one.source),
    "hosts": host,
    "ports": lambda value, one: int(value) == one.port,
    "methods": lambda value, one: like(value, one.method),
    "paths": path,
    "source.ip": lambda value, one: within(value, one.source),
    "remote.ip": lambda value, one: within(value, one.client if one.http else one.source),
    "source.namespace": namespace,
    "source.principal": principal,
    "source.serviceAccount": service_account,
    "source.trustDomain": trust_domain,
    "request.auth.principal": token,
    "destination.ip": lambda value, one: within(value, one.address),
    "destination.port": lambda value, one: int(value) == one.port,
    "connection.sni": lambda value, one: like(value, one.sni),
}
IDENTITIES = {
    *("principals", "namespaces", "serviceAccounts", "trustDomains"),
    *("source.namespace", "source.principal", "source.serviceAccount", "source.trustDomain"),
}
REQUESTS = {"requestPrincipals", "hosts", "methods", "paths"}


def on_http_alone(name: str) -> bool:
    return name in REQUESTS or name.startswith("request.")


def is_hidden(name: str, one: Asked) -> bool:
    """Whether who decides cannot see this: requests on connections, tokens in a gRPC server."""
    if one.by_grpc:
        return name == "requestPrincipals" or name.startswith("request.auth.")
    return not one.http and on_http_alone(name)


_CLAIMS = {"request.auth.audiences": ["aud"], "request.auth.presenter": ["azp"]}


def value_holds(name: str, value: str, one: Asked, *, wide: bool) -> bool:
    """wide: where missing a match would let a request through."""
    if name.startswith("request.headers["):
        return like(value, one.headers.get(name[16:-1]))
    if name.startswith("request.auth.claims["):
        return claim_holds(value, one, *re.findall(r"\[([^\]]*)\]", name[19:]), wide=wide)
    if name in _CLAIMS:
        return claim_holds(value, one, *_CLAIMS[name], wide=wide)
    if wide and FIELDS.get(name) is token:
        return token_parted_anywhere(value, one)
    if name.startswith("experimental."):
        return False
    return bool(FIELDS[name](value, one))


def field_holds(name: str, values: list[str], *, negated: bool, action: str, one: Asked) -> bool | None:
    """Whether a field holds; None where it drops out, as connections do not show it. Callers without an
    identity are never let in, and never let off, by who they are not."""
    if is_hidden(name, one):
        return False if action == "ALLOW" else None
    anonymous = name in IDENTITIES and one.identity is None
    if anonymous and not negated and action == "DENY":
        return True
    if anonymous and negated and action == "ALLOW":
        return False
    wide = (action != "ALLOW") != negated
    return any(value_holds(name, value, one, wide=wide) for value in values) != negated


def allowed(action: str, fields: list[tuple[str, list[str], bool]], one: Asked) -> bool:
    """Whether one policy with one rule lets it in. CUSTOM: nobody is there to be asked, which refuses."""
    held = [field_holds(name, values, negated=no, action=action, one=one) for name, values, no in fields]
    matches = all(answer is not False for answer in held)
    return matches if action == "ALLOW" else not matches


@dataclass(frozen=True)
class Term:
    """One field of a rule and its values."""

    name: str
    values: tuple[str, ...]
    negated: bool = False


Terms = tuple[Term, ...]


@dataclass(frozen=True)
class Alternatives:
    """A rule: one of `origins`, one of `operations` and all `conditions` must hold, where there are any."""

    origins: tuple[Terms, ...] = ()
    operations: tuple[Terms, ...] = ()
    conditions: Terms = ()

    @property
    def terms(self) -> Iterator[Term]:
        """All of them."""
        yield from chain(*self.origins, *self.operations, self.conditions)


@dataclass(frozen=True)
class Written:
    """A policy. provider: of CUSTOM. tried: only dry-run."""

    action: str
    rules: tuple[Alternatives, ...]
    provider: str = ""
    tried: bool = False


def rule_holds(rule: Alternatives, action: str, one: Asked, *, identified: bool) -> bool:
    """identified: whether all who may come have an identity, as at sidecars."""
    if action == "ALLOW" and any(is_hidden(term.name, one) for term in rule.terms):
        return False

    def all_hold(terms: Terms) -> bool:
        return all(_term_holds(term, action, one, identified=identified) is not False for term in terms)

    return (
        (not rule.origins or any(map(all_hold, rule.origins)))
        and (not rule.operations or any(map(all_hold, rule.operations)))
        and all_hold(rule.conditions)
    )


def _term_holds(term: Term, action: str, one: Asked, *, identified: bool) -> bool | None:
    if identified:
        return field_holds(term.name, list(term.values), negated=term.negated, action=action, one=one)
    if is_hidden(term.name, one):
        return None
    wide = (action != "ALLOW") != term.negated
    return any(value_holds(term.name, value, one, wide=wide) for value in term.values) != term.negated


def holds(policy: Written, one: Asked, *, identified: bool) -> bool:
    """Whether one of its rules does."""
    return any(rule_holds(rule, policy.action, one, identified=identified) for rule in policy.rules)


def decided(
    policies: Iterable[Written], one: Asked, *, identified: bool, asked: Callable[[str, Asked], bool]
) -> bool:
    """What all policies together say. asked: whether an authorizer lets it in."""
    said: dict[str, list[bool]] = {"CUSTOM": [], "DENY": [], "ALLOW": []}
    providers = set()
    for policy in policies:
        if policy.action == "CUSTOM":
            providers.add(policy.provider)
        if not policy.tried and policy.action in said:
            said[policy.action].append(holds(policy, one, identified=identified))
    if any(said["CUSTOM"]) and not (len(providers) == 1 and asked(providers.pop(), one)):
        return False
    return not any(said["DENY"]) and (any(said["ALLOW"]) or not said["ALLOW"])
