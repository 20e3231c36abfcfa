"""Rules of RateLimit."""

from __future__ import annotations

import re

from artemon.model.rate_limit import RateLimit, RateLimitKey, RateLimitRule
from artemon.model.resource import Resource
from artemon.validate.amounts import port
from artemon.validate.context import Context
from artemon.validate.findings import Problems, error, wrong
from artemon.validate.hosts import fqdn
from artemon.validate.scope import selector
from artemon.validate.texts import string_match

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_HEADER = re.compile(r":(method|path|authority|scheme)|[A-Za-z0-9!#$%&'*+.^_`|~-]+")
SECOND = 1_000_000_000
LONGEST = 86400 * SECOND
MOST_BYTES = 64 * 1024 * 1024


def rate_limit(resource: Resource[RateLimit], _: Context) -> Problems:
    """What is wrong with one RateLimit."""
    spec = resource.spec
    yield from selector(spec.selector.match_labels if spec.selector else None, "spec.selector.matchLabels")
    yield from wrong("spec.port", port(spec.port))
    if not spec.service:
        yield error("spec.service", "must be the host of the service that counts")
    else:
        yield from wrong("spec.service", fqdn(spec.service))
    if not spec.rules and not spec.max_request_bytes and not spec.max_concurrent_requests:
        yield error("spec", "limits nothing: write rules, maxRequestBytes or maxConcurrentRequests")
    if spec.max_request_bytes > MOST_BYTES:
        yield error(
            "spec.maxRequestBytes", f"must be at most {MOST_BYTES}: bodies wait in the proxy's memory"
        )
    seen: set[str] = set()
    for index, rule in enumerate(spec.rules):
        path = f"spec.rules[{index}]"
        if rule.name in seen:
            yield error(f"{path}.name", f'"{rule.name}" is used by another rule')
        seen.add(rule.name)
        yield from _rule(rule, path)


def _rule(rule: RateLimitRule, path: str) -> Problems:
    if not _NAME.fullmatch(rule.name):
        yield error(f"{path}.name", "must be 1 to 63 lower-case letters, digits or '-'")
    if rule.requests < 1:
        yield error(f"{path}.requests", "must be at least 1")
    if rule.burst and rule.burst < rule.requests:
        yield error(f"{path}.burst", "must be at least requests: it is how many may come at once")
    if rule.burst and rule.scope == "GLOBAL":
        yield error(f"{path}.burst", "is of LOCAL limits alone")
    if rule.window == "SLIDING" and rule.scope == "LOCAL":
        yield error(f"{path}.window", "is of GLOBAL limits alone")
    if rule.per is None or not SECOND <= rule.per <= LONGEST or rule.per % SECOND:
        yield error(f"{path}.per", "must be whole seconds, 1s to 24h")
    for index, key in enumerate(rule.by):
        yield from _key(key, f"{path}.by[{index}]")
    yield from _match(rule, f"{path}.match")
    for index, override in enumerate(rule.overrides):
        where = f"{path}.overrides[{index}]"
        if not rule.by:
            yield error(where, "needs a key that the value is of: by")
        elif rule.scope == "GLOBAL" and _is_of_the_connection(rule.by[0]):
            yield error(where, "of GLOBAL limits must be of a header, METHOD or PATH")
        if override.requests < 1:
            yield error(f"{where}.requests", "must be at least 1")
        if not override.value:
            yield error(f"{where}.value", "must not be empty")
        elif override.value in {one.value for one in rule.overrides[:index]}:
            yield error(f"{where}.value", f'"{override.value}" has another override')


def _is_of_the_connection(key: RateLimitKey) -> bool:
    return key.claim is not None or key.attribute in ("SOURCE", "PRINCIPAL")


def _key(key: RateLimitKey, path: str) -> Problems:
    if key.header is None and key.claim is None and key.attribute is None:
        yield error(path, "needs one of header, claim, attribute")
    if key.header is not None and not _HEADER.fullmatch(key.header):
        yield error(f"{path}.header", f'"{key.header}" is not the name of a header')
    if key.claim == "":
        yield error(f"{path}.claim", "must not be empty")


def _match(rule: RateLimitRule, path: str) -> Problems:
    if rule.match is None:
        return
    for index, method in enumerate(rule.match.methods):
        if not re.fullmatch(r"[A-Z]+(-[A-Z]+)*", method):
            yield error(f"{path}.methods[{index}]", f'"{method}" is not a method such as GET')
    if rule.match.path is not None:
        yield from string_match(rule.match.path, f"{path}.path")
    for name, wanted in rule.match.headers.items():
        if not _HEADER.fullmatch(name):
            yield error(f"{path}.headers", f'"{name}" is not the name of a header')
        yield from string_match(wanted, f"{path}.headers.{name}")
