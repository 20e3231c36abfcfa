"""RequestAuthentication: tokens that are wrong are refused (401); policies know what right ones say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from envoy.config.rbac.v3.rbac_pb2 import RBAC, Permission, Policy, Principal
from envoy.extensions.filters.http.header_mutation.v3.header_mutation_pb2 import HeaderMutation
from envoy.extensions.filters.http.jwt_authn.v3.config_pb2 import (
    JwtAuthentication,
    JwtClaimToHeader,
    JwtHeader,
    JwtProvider,
    JwtRequirement,
    RequirementRule,
)
from envoy.extensions.filters.http.rbac.v3.rbac_pb2 import RBAC as HttpRbac
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter
from envoy.type.matcher.v3.metadata_pb2 import MetadataMatcher
from envoy.type.matcher.v3.value_pb2 import ValueMatcher
from google.protobuf.empty_pb2 import Empty

from artemon.model.jwks_source import key_source
from artemon.model.request_authentication import JWTRule
from artemon.snapshot.view import Policies
from artemon.translate.authz.callers import JWT, PAYLOAD
from artemon.translate.authz.external import HTTP_RBAC
from artemon.translate.authz.texts import spellings
from artemon.translate.wire import packed

NO_KEYS = (
    '{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"nobody",'
    '"x":"Xq64lmcoqb74qN3N2ESijRPTL7IEJvFK3JIw4Atr67o","y":"3J1rQc3xYyApuOneeNBFhSpRk9Sa2coCJqZBljV4m-Y"}]}'
)
"""Where keys are not known: every token is refused. Envoy insists on a key, so this is one that nobody can
sign with: its x is the SHA-256 of `artemon: nobody signs with this key 1`, no private key was ever there."""
LOOKALIKES = "envoy.filters.http.header_mutation"
_THERE = ValueMatcher(present_match=True)
_SPACE_DELIMITED = ("scope", "permission")


def token_filters(policies: Policies) -> tuple[HttpFilter, ...]:
    """The filter of all rules in force; none without rules."""
    rules = [rule for policy in policies.authentication for rule in policy.spec.jwt_rules]
    if not rules:
        return ()
    rules.sort(key=lambda rule: rule.issuer)
    named = {f"origins-{number}": rule for number, rule in enumerate(rules)}
    out = JwtAuthentication(bypass_cors_preflight=True)
    for name, rule in named.items():
        out.providers[name].CopyFrom(_provider(rule, policies))
        out.providers[name].header_in_metadata = _header_of(name)
    requirement = RequirementRule(requires=_requirement(named))
    requirement.match.prefix = "/"
    out.rules.append(requirement)
    tokens = HttpFilter(name=JWT, typed_config=packed(out))
    return (*_without_lookalikes(rules), tokens, _without_extensions(named))


def _without_extensions(names: Iterable[str]) -> HttpFilter:
    """Refuses tokens that ask for what nobody here knows: a `crit` must be refused (RFC 7515 section 4.1.11),
    and Envoy 1.40 does not look at it. So does `b64` (RFC 7797), which means nothing without it."""
    asked = [
        Principal(metadata=MetadataMatcher(filter=JWT, path=_path(_header_of(name), member), value=_THERE))
        for name in names
        for member in ("crit", "b64")
    ]
    rules = RBAC(action=RBAC.DENY)
    rules.policies["tokens-with-unknown-extensions"].CopyFrom(
        Policy(permissions=[Permission(any=True)], principals=asked)
    )
    return HttpFilter(name=HTTP_RBAC, typed_config=packed(HttpRbac(rules=rules)))


def _path(*keys: str) -> list[MetadataMatcher.PathSegment]:
    return [MetadataMatcher.PathSegment(key=key) for key in keys]


def _header_of(provider: str) -> str:
    """Where the header of a provider's token is told, beside the payload."""
    return f"header-{provider}"


def _without_lookalikes(rules: Sequence[JWTRule]) -> tuple[HttpFilter, ...]:
    """Takes away `x_user` where tokens say who `x-user` is: servers that make variables of headers cannot
    tell the two apart, and Envoy replaces the very header alone."""
    told = {rule.output_payload_to_header for rule in rules}
    told |= {one.header for rule in rules for one in rule.output_claim_to_headers}
    named = {name.lower() for name in told if name}
    out = HeaderMutation()
    for name in sorted({each for one in named for each in spellings(one)} - named):
        out.mutations.request_mutations.add(remove=name)
    mutations = out.mutations.request_mutations
    return (HttpFilter(name=LOOKALIKES, typed_config=packed(out)),) if mutations else ()


def _provider(rule: JWTRule, policies: Policies) -> JwtProvider:
    out = JwtProvider(
        issuer=rule.issuer,
        audiences=rule.audiences,
        forward=rule.forward_original_token,
        payload_in_metadata=PAYLOAD,
        from_headers=[JwtHeader(name=one.name, value_prefix=one.prefix) for one in rule.from_headers],
        from_params=rule.from_params,
        from_cookies=rule.from_cookies,
        forward_payload_header=rule.output_payload_to_header,
        claim_to_headers=[
            JwtClaimToHeader(header_name=one.header, claim_name=one.claim)
            for one in rule.output_claim_to_headers
        ],
        clear_route_cache=True,
    )
    claims = dict.fromkeys((*_SPACE_DELIMITED, *rule.space_delimited_claims))
    out.normalize_payload_in_metadata.space_delimited_claims.extend(claims)
    out.local_jwks.inline_string = rule.jwks or policies.keys.get(key_source(rule), NO_KEYS)
    return out


def _requirement(named: dict[str, JWTRule]) -> JwtRequirement:
    """Tokens may be missing, but for rules that say otherwise; one that is there must be right."""
    required = [name for name, rule in named.items() if rule.presence == "REQUIRED"]
    optional = [name for name in named if name not in required]
    parts = [JwtRequirement(provider_name=name) for name in required]
    if optional:
        parts.append(_may_be_missing(optional))
    return parts[0] if len(parts) == 1 else _all(parts)


def _may_be_missing(names: Sequence[str]) -> JwtRequirement:
    """Any of them is right, or for each one a token is missing (Istio)."""
    if len(names) == 1:
        return _or_missing(names[0])
    every = _all([_or_missing(name) for name in names])
    return _any([*(JwtRequirement(provider_name=name) for name in names), every])


def _or_missing(name: str) -> JwtRequirement:
    return _any([JwtRequirement(provider_name=name), JwtRequirement(allow_missing=Empty())])


def _any(parts: Sequence[JwtRequirement]) -> JwtRequirement:
    out = JwtRequirement()
    out.requires_any.requirements.extend(parts)
    return out


def _all(parts: Sequence[JwtRequirement]) -> JwtRequirement:
    out = JwtRequirement()
    out.requires_all.requirements.extend(parts)
    return out
