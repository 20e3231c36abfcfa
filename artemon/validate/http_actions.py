"""What an HTTP route does with its requests, besides choosing a destination."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Sequence
from http import HTTPStatus

from artemon.model.virtual_service import (
    CorsPolicy,
    HTTPBody,
    HTTPDirectResponse,
    HTTPFaultInjection,
    HTTPFaultInjectionAbort,
    HTTPFaultInjectionDelay,
    HTTPMatchRequest,
    HTTPRedirect,
    HTTPRetry,
    HTTPRewrite,
)
from artemon.validate.amounts import duration, not_negative, port, share
from artemon.validate.findings import Problems, Reason, error, warning, wrong
from artemon.validate.texts import header_name, regex, string_match

RETRY_ON = frozenset(
    {
        "5xx",
        "gateway-error",
        "reset",
        "reset-before-request",
        "connect-failure",
        "envoy-ratelimited",
        "retriable-4xx",
        "refused-stream",
        "retriable-status-codes",
        "retriable-headers",
        "http3-post-connect-failure",
        "cancelled",
        "deadline-exceeded",
        "internal",
        "resource-exhausted",
        "unavailable",
    }
)
GRPC_STATUSES = frozenset(
    {
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    }
)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE"})
REDIRECT_CODES = frozenset({301, 302, 303, 307, 308})
_STATUSES = {str(status.value) for status in HTTPStatus}
_LARGE, _TOO_LARGE = 100 * 1024, 1024 * 1024


def retries(policy: HTTPRetry | None, path: str) -> Problems:
    """When and how often to try again."""
    if policy is None:
        return
    yield from not_negative(policy.attempts, f"{path}.attempts")
    others = (
        policy.per_try_timeout,
        policy.backoff,
        policy.retry_remote_localities,
        policy.retry_ignore_previous_hosts,
    )
    if policy.attempts == 0 and (policy.retry_on or any(value is not None for value in others)):
        yield error(f"{path}.attempts", "is 0 (never try again), but other fields say how to try again")
    yield from duration(policy.per_try_timeout, f"{path}.perTryTimeout")
    yield from duration(policy.backoff, f"{path}.backoff")
    for token in policy.retry_on.split(",") if policy.retry_on else ():
        if token not in RETRY_ON and token not in _STATUSES:
            yield error(f"{path}.retryOn", f'"{token}" is not a condition of Envoy, nor an HTTP status')


def fault(injection: HTTPFaultInjection | None, path: str) -> Problems:
    """Faults made on purpose."""
    if injection is None:
        return
    if injection.abort is None and injection.delay is None:
        yield error(path, "must have delay or abort")
    if injection.abort is not None:
        yield from _abort(injection.abort, f"{path}.abort")
    if injection.delay is not None:
        yield from _delay(injection.delay, f"{path}.delay")


def _abort(abort: HTTPFaultInjectionAbort, path: str) -> Problems:
    yield from share(abort.percentage, f"{path}.percentage")
    if abort.http2_error is not None:
        yield error(f"{path}.http2Error", "is not supported; use httpStatus or grpcStatus")
    elif abort.grpc_status is not None:
        if abort.grpc_status not in GRPC_STATUSES:
            yield error(f"{path}.grpcStatus", f'"{abort.grpc_status}" is not a gRPC status such as NOT_FOUND')
    elif abort.http_status is not None:
        yield from wrong(f"{path}.httpStatus", status(abort.http_status))
    else:
        yield warning(path, "does nothing without httpStatus or grpcStatus")


def _delay(delay: HTTPFaultInjectionDelay, path: str) -> Problems:
    yield from share(delay.percentage, f"{path}.percentage")
    if not 0 <= delay.percent <= 100:
        yield error(f"{path}.percent", f"{delay.percent} is not between 0 and 100")
    if delay.exponential_delay is not None:
        yield error(f"{path}.exponentialDelay", "is not supported; use fixedDelay")
    elif delay.fixed_delay is None:
        yield error(f"{path}.fixedDelay", "is required")
    yield from duration(delay.fixed_delay, f"{path}.fixedDelay")


def status(code: int) -> Reason:
    """Why `code` is not an HTTP status that can be answered with (Istio takes 200 to 600)."""
    return None if 200 <= code <= 600 else f"{code} is not an HTTP status; it must be 200 to 599"


def redirect(action: HTTPRedirect | None, path: str, *, matches: Sequence[HTTPMatchRequest]) -> Problems:
    """Where clients are sent. A prefix can be replaced only where the match is by prefix."""
    if action is None:
        return
    ported = action.port is not None or action.derive_port is not None
    if not (action.uri or action.prefix_rewrite or action.authority or action.scheme or ported):
        yield error(path, "must have at least one of uri, prefixRewrite, authority, scheme, port, derivePort")
    if action.uri and action.prefix_rewrite:
        yield error(path, "only one of uri and prefixRewrite may be set")
    if action.prefix_rewrite and any(match.uri is not None and match.uri.prefix is None for match in matches):
        yield error(f"{path}.prefixRewrite", "needs matches on uri to be by prefix")
    if action.redirect_code and not 300 <= action.redirect_code <= 399:
        yield error(f"{path}.redirectCode", f"{action.redirect_code} is not 3xx")
    elif action.redirect_code and action.redirect_code not in REDIRECT_CODES:
        yield warning(f"{path}.redirectCode", f"{action.redirect_code} is no redirection that Envoy knows")
    if action.scheme not in {"", "http", "https"}:
        yield error(f"{path}.scheme", f'must be http or https, not "{action.scheme}"')
    if action.port:
        yield from wrong(f"{path}.port", port(action.port))


def direct_response(action: HTTPDirectResponse | None, path: str) -> Problems:
    """A fixed answer."""
    if action is None:
        return
    yield from wrong(f"{path}.status", status(action.status))
    if action.body is None:
        return
    try:
        size = _size(action.body)
    except (binascii.Error, ValueError):
        yield error(f"{path}.body.bytes", "must be base64")
        return
    if size > _TOO_LARGE:
        yield error(f"{path}.body", f"has {size} bytes; at most 1 MiB is allowed")
    elif size > _LARGE:
        yield warning(f"{path}.body", f"has {size} bytes, which every proxy must be sent")


def _size(body: HTTPBody) -> int:
    if body.bytes_ is not None:
        return len(b64decode(body.bytes_, validate=True))
    return len((body.string or "").encode("utf-8", "replace"))


def rewrite(action: HTTPRewrite | None, path: str) -> Problems:
    """Changes to path and authority."""
    if action is None:
        return
    by_regex = action.uri_regex_rewrite
    if action.uri and by_regex is not None:
        yield error(path, "only one of uri and uriRegexRewrite may be set")
    if not action.uri and not action.authority and by_regex is None:
        yield error(path, "must have at least one of uri, uriRegexRewrite and authority")
    if by_regex is not None:
        if not by_regex.match or not by_regex.rewrite:
            yield error(f"{path}.uriRegexRewrite", "must have both match and rewrite")
        else:
            yield from wrong(f"{path}.uriRegexRewrite.match", regex(by_regex.match))


def cors(policy: CorsPolicy | None, path: str) -> Problems:
    """Cross-origin requests."""
    if policy is None:
        return
    for index, origin in enumerate(policy.allow_origins):
        where = f"{path}.allowOrigins[{index}]"
        if not (origin.exact or origin.prefix or origin.regex):
            yield error(where, "must have a non-empty exact, prefix or regex")
        else:
            yield from string_match(origin, where)
    for index, method in enumerate(policy.allow_methods):
        if method != "*" and method not in METHODS:
            yield error(f"{path}.allowMethods[{index}]", f'"{method}" is not an HTTP method')
    for field, names in (("allowHeaders", policy.allow_headers), ("exposeHeaders", policy.expose_headers)):
        for index, name in enumerate(names):
            if name != "*":
                yield from wrong(f"{path}.{field}[{index}]", header_name(name))
    yield from duration(policy.max_age, f"{path}.maxAge", whole_seconds=True)
