"""RateLimit as Envoy's filters: a token bucket in the proxy, or a question to whoever counts for all."""

from __future__ import annotations

from collections.abc import Iterator

from envoy.config.core.v3.base_pb2 import RuntimeFractionalPercent
from envoy.config.core.v3.config_source_pb2 import ApiVersion
from envoy.config.rbac.v3.rbac_pb2 import RBAC, Permission, Principal
from envoy.config.route.v3.route_components_pb2 import HeaderMatcher
from envoy.config.route.v3.route_components_pb2 import RateLimit as Asked
from envoy.extensions.common.ratelimit.v3.ratelimit_pb2 import XRateLimitHeadersRFCVersion
from envoy.extensions.filters.http.buffer.v3.buffer_pb2 import Buffer
from envoy.extensions.filters.http.local_ratelimit.v3.local_rate_limit_pb2 import LocalRateLimit
from envoy.extensions.filters.http.ratelimit.v3.rate_limit_pb2 import RateLimit as GlobalRateLimit
from envoy.extensions.filters.http.rbac.v3.rbac_pb2 import RBAC as HttpRbac
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter
from envoy.extensions.rate_limit_descriptors.expr.v3.expr_pb2 import Descriptor
from envoy.type.v3.token_bucket_pb2 import TokenBucket
from google.protobuf.wrappers_pb2 import UInt32Value

from artemon.model.limit_terms import DOMAIN, TERMS, Terms
from artemon.model.rate_limit import RateLimit, RateLimitKey, RateLimitRule
from artemon.model.resource import Resource
from artemon.model.virtual_service import StringMatch
from artemon.snapshot.policies import counter_of
from artemon.snapshot.view import ProxyView
from artemon.translate.routes.match import string_matcher
from artemon.translate.telemetry.providers import grpc_to
from artemon.translate.wire import duration, packed

LOCAL, GLOBAL = "envoy.filters.http.local_ratelimit", "envoy.filters.http.ratelimit"
BUFFER = "envoy.filters.http.buffer"
UNLIMITED = 4_000_000_000
"""Tokens of a bucket that requests come to which no rule is about."""
TOLD_APART = 10_000
"""Most values of a key that a proxy counts at the same time; the one unseen for longest is forgotten."""
PATIENCE = 100_000_000
_SECOND = 1_000_000_000
_MATCHED = "matched"


def limit_filters(view: ProxyView) -> Iterator[HttpFilter]:
    """The filters of all limits in force for a proxy, in the order of their rules; the size first."""
    sizes = [one.spec.max_request_bytes for one in view.policies.limits if one.spec.max_request_bytes]
    if sizes:
        buffer = Buffer(max_request_bytes=UInt32Value(value=min(sizes)))
        yield HttpFilter(name=BUFFER, typed_config=packed(buffer))
    for resource in view.policies.limits:
        for rule in resource.spec.rules:
            if rule.scope == "LOCAL":
                yield _local(resource, rule)
            else:
                yield from _global(view, resource, rule)


def most_at_once(view: ProxyView) -> int:
    """Requests that may be under way at a time behind a port; 0 is no limit."""
    found = (one.spec.max_concurrent_requests for one in view.policies.limits)
    return min((one for one in found if one), default=0)


def _name(resource: Resource[RateLimit], rule: RateLimitRule) -> str:
    return f"{resource.meta.namespace}/{resource.meta.name}/{rule.name}"


def _seconds(rule: RateLimitRule) -> int:
    return (rule.per or _SECOND) // _SECOND


def _local(resource: Resource[RateLimit], rule: RateLimitRule) -> HttpFilter:
    """Each rule is a filter of its own: a bucket for every value that its keys have."""
    out = LocalRateLimit(stat_prefix="artemon_rate_limit")
    _fill(out.token_bucket, UNLIMITED, rule)
    out.filter_enabled.CopyFrom(_share(100))
    out.filter_enforced.CopyFrom(_share(0 if rule.shadow else 100))
    out.enable_x_ratelimit_headers = XRateLimitHeadersRFCVersion.DRAFT_VERSION_03
    out.rate_limited_as_resource_exhausted = True
    out.always_consume_default_token_bucket.value = False
    out.max_dynamic_descriptors.value = TOLD_APART
    name = _name(resource, rule)
    out.rate_limits.append(_asked(rule, name))
    for override in rule.overrides:
        _descriptor(out, rule, name, requests=override.requests, value=override.value)
    _descriptor(out, rule, name, requests=rule.requests)
    return HttpFilter(name=LOCAL, typed_config=packed(out))


def _descriptor(
    out: LocalRateLimit, rule: RateLimitRule, name: str, *, requests: int, value: str = ""
) -> None:
    found = out.descriptors.add()
    found.entries.add(key=TERMS, value=name)
    if rule.match is not None:
        found.entries.add(key=_MATCHED, value="yes")
    for index, key in enumerate(rule.by):
        found.entries.add(key=_label(key), value=value if index == 0 else "")
    _fill(found.token_bucket, requests, rule)


def _fill(bucket: TokenBucket, requests: int, rule: RateLimitRule) -> None:
    bucket.max_tokens = max(requests, rule.burst)
    bucket.tokens_per_fill.value = requests
    bucket.fill_interval.CopyFrom(duration(_seconds(rule) * _SECOND))


def _share(percent: int) -> RuntimeFractionalPercent:
    out = RuntimeFractionalPercent()
    out.default_value.numerator = percent
    return out


def _global(view: ProxyView, resource: Resource[RateLimit], rule: RateLimitRule) -> Iterator[HttpFilter]:
    """Where nobody is seen who counts, nothing is limited, or everything refused, as the rule says."""
    spec = resource.spec
    if not view.policies.authorizers.get(counter_of(spec)):
        if not rule.fail_open and not rule.shadow:
            yield _closed(rule)
        return
    out = GlobalRateLimit(domain=DOMAIN, failure_mode_deny=not rule.fail_open, timeout=duration(PATIENCE))
    out.rate_limit_service.grpc_service.CopyFrom(grpc_to(spec.service, spec.port))
    out.rate_limit_service.transport_api_version = ApiVersion.V3
    out.enable_x_ratelimit_headers = GlobalRateLimit.DRAFT_VERSION_03
    out.rate_limited_as_resource_exhausted = True
    out.filter_enforced.CopyFrom(_share(0 if rule.shadow else 100))
    terms = Terms(_name(resource, rule), rule.requests, _seconds(rule), rule.window == "SLIDING")
    values = tuple(one.value for one in rule.overrides)
    for override in rule.overrides:
        asked = _asked(rule, terms._replace(requests=override.requests).text(), only=override.value)
        out.rate_limits.append(asked)
    out.rate_limits.append(_asked(rule, terms.text(), but=values))
    yield HttpFilter(name=GLOBAL, typed_config=packed(out))


def _closed(rule: RateLimitRule) -> HttpFilter:
    """Refuses what the rule is about."""
    rules = RBAC(action=RBAC.DENY)
    policy = rules.policies["nobody-counts"]
    policy.principals.append(Principal(any=True))
    conditions = [Permission(header=one) for one in _conditions(rule)] or [Permission(any=True)]
    policy.permissions.add().and_rules.rules.extend(conditions)
    return HttpFilter(name="envoy.filters.http.rbac", typed_config=packed(HttpRbac(rules=rules)))


def _asked(rule: RateLimitRule, terms: str, *, only: str = "", but: tuple[str, ...] = ()) -> Asked:
    """What is told of a request. only, but: values of the first key that it is, or is not, about."""
    out = Asked()
    first = out.actions.add().generic_key
    first.descriptor_key, first.descriptor_value = TERMS, terms
    if rule.match is not None:
        _matching(out, rule)
    for value in (only,) if only else ():
        _valued(out, rule.by[0], value, expected=True)
    for value in but:
        _valued(out, rule.by[0], value, expected=False)
    for key in rule.by:
        _telling(out, key)
    return out


def _matching(out: Asked, rule: RateLimitRule) -> None:
    matched = out.actions.add().header_value_match
    matched.descriptor_key, matched.descriptor_value = _MATCHED, "yes"
    matched.headers.extend(_conditions(rule))


def _conditions(rule: RateLimitRule) -> Iterator[HeaderMatcher]:
    """What requests must be for a rule to be about them."""
    if rule.match is None:
        return
    wanted = dict(rule.match.headers)
    if rule.match.path is not None:
        wanted[":path"] = rule.match.path
    if rule.match.methods:
        wanted[":method"] = StringMatch(regex="|".join(rule.match.methods))
    for name, text in wanted.items():
        yield HeaderMatcher(name=name.lower(), string_match=string_matcher(text))


def _valued(out: Asked, key: RateLimitKey, value: str, *, expected: bool) -> None:
    """A condition on the value of a header; other keys are compared by expressions."""
    if _header(key):
        matched = out.actions.add().header_value_match
        matched.descriptor_key, matched.descriptor_value = "override", value if expected else "none"
        matched.expect_match.value = expected
        matched.headers.add(name=_header(key)).string_match.exact = value


def _header(key: RateLimitKey) -> str:
    if key.header is not None:
        return key.header.lower()
    return {"METHOD": ":method", "PATH": ":path"}.get(key.attribute or "", "")


def _label(key: RateLimitKey) -> str:
    if key.claim is not None:
        return f"claim.{key.claim}"
    return {"SOURCE": "remote_address", "PRINCIPAL": "principal"}.get(key.attribute or "", _header(key))


def _telling(out: Asked, key: RateLimitKey) -> None:
    action = out.actions.add()
    if key.claim is not None:
        action.metadata.descriptor_key = _label(key)
        action.metadata.metadata_key.key = "envoy.filters.http.jwt_authn"
        for part in ("payload", key.claim):
            action.metadata.metadata_key.path.add(key=part)
    elif key.attribute == "SOURCE":
        action.remote_address.SetInParent()
    elif key.attribute == "PRINCIPAL":
        text = Descriptor(descriptor_key=_label(key), text="connection.uri_san_peer_certificate")
        action.extension.name = "envoy.rate_limit_descriptors.expr"
        action.extension.typed_config.CopyFrom(packed(text))
    else:
        action.request_headers.header_name = _header(key)
        action.request_headers.descriptor_key = _label(key)
