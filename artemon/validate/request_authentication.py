"""Rules of RequestAuthentication (Istio `ValidateRequestAuthentication`)."""

from __future__ import annotations

import json
from typing import Any

from artemon.model.request_authentication import JWTRule, RequestAuthentication
from artemon.model.resource import Resource
from artemon.validate.amounts import duration
from artemon.validate.context import Context
from artemon.validate.findings import Problems, error, warning, wrong
from artemon.validate.scope import targets
from artemon.validate.texts import header_name
from artemon.validate.urls import odd_host, url

_MEMBERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x"), "oct": ("k",)}
"""Key type -> members that a public key must have (RFC 7518 section 6, RFC 8037)."""


def request_authentication(resource: Resource[RequestAuthentication], context: Context) -> Problems:
    """What is wrong with one policy."""
    spec = resource.spec
    yield from targets(spec, namespace=resource.meta.namespace, root_namespace=context.root_namespace)
    for index, rule in enumerate(spec.jwt_rules):
        yield from _rule(rule, f"spec.jwtRules[{index}]")


def _rule(rule: JWTRule, path: str) -> Problems:
    if not rule.issuer and not rule.jwks_uri:
        yield error(path, "must have an issuer or a jwksUri")
    if rule.jwks_uri:
        yield from wrong(f"{path}.jwksUri", url(rule.jwks_uri, schemes=("http", "https")))
        if (odd := odd_host(rule.jwks_uri)) is not None:
            yield warning(f"{path}.jwksUri", odd)
    if rule.jwks:
        yield from _key_set(rule.jwks, f"{path}.jwks")
    for index, header in enumerate(rule.from_headers):
        yield from wrong(f"{path}.fromHeaders[{index}].name", header_name(header.name))
    for name, values in (
        ("audiences", rule.audiences),
        ("fromParams", rule.from_params),
        ("fromCookies", rule.from_cookies),
        ("spaceDelimitedClaims", rule.space_delimited_claims),
    ):
        for index, value in enumerate(values):
            if not value:
                yield error(f"{path}.{name}[{index}]", "must not be empty")
    if rule.output_payload_to_header:
        yield from wrong(f"{path}.outputPayloadToHeader", header_name(rule.output_payload_to_header))
    for index, output in enumerate(rule.output_claim_to_headers):
        where = f"{path}.outputClaimToHeaders[{index}]"
        yield from wrong(f"{where}.header", header_name(output.header))
        if not output.claim:
            yield error(f"{where}.claim", "must not be empty")
    yield from duration(rule.timeout, f"{path}.timeout")


def _key_set(text: str, path: str) -> Problems:
    """A JSON Web Key Set (RFC 7517), or a single key."""
    try:
        parsed: Any = json.loads(text)
    except (ValueError, RecursionError):
        parsed = None
    keys = parsed.get("keys", [parsed]) if isinstance(parsed, dict) else None
    if not isinstance(keys, list):
        yield error(path, 'must be a JSON Web Key Set: {"keys": [...]}')
        return
    for index, key in enumerate(keys):
        where = f"{path}: keys[{index}]"
        kind = key.get("kty") if isinstance(key, dict) else None
        members = _MEMBERS.get(kind) if isinstance(kind, str) else None
        missing = [name for name in members or () if not isinstance(key.get(name), str)]
        if members is None:
            yield error(where, "is not a key of type RSA, EC, OKP or oct")
        elif missing:
            yield error(where, f"lacks {', '.join(missing)}")
        elif kind == "oct" or "d" in key:
            yield warning(where, "is not a public key; everybody who reads this object has it")
