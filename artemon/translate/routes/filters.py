"""What a route sets for single HTTP filters: faults and CORS."""

from __future__ import annotations

from envoy.config.core.v3.base_pb2 import RuntimeFractionalPercent
from envoy.extensions.filters.common.fault.v3.fault_pb2 import FaultDelay
from envoy.extensions.filters.http.cors.v3.cors_pb2 import CorsPolicy as EnvoyCors
from envoy.extensions.filters.http.fault.v3.fault_pb2 import FaultAbort, HTTPFault
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from envoy.type.v3.percent_pb2 import FractionalPercent

from artemon.model.virtual_service import (
    CorsPolicy,
    HTTPFaultInjection,
    HTTPFaultInjectionAbort,
    HTTPFaultInjectionDelay,
    Percent,
)
from artemon.translate.routes.match import string_matcher
from artemon.translate.wire import duration, percent

GRPC_STATUSES = {
    name: code
    for code, name in enumerate((
        "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
        "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
        "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
    ))
}  # fmt: skip


def fault(injection: HTTPFaultInjection) -> HTTPFault:
    """Delays and errors for a share of requests; an abort that does not say with which error is none."""
    out = HTTPFault()
    if injection.delay is not None:
        out.delay.CopyFrom(_delay(injection.delay))
    abort = injection.abort
    if abort is not None and (abort.http_status is not None or abort.grpc_status is not None):
        out.abort.CopyFrom(_abort(abort))
    return out


def _delay(delay: HTTPFaultInjectionDelay) -> FaultDelay:
    share = delay.percentage
    if share is None and delay.percent:
        share = Percent(value=float(delay.percent))
    return FaultDelay(fixed_delay=duration(delay.fixed_delay or 0), percentage=percent(share))


def _abort(abort: HTTPFaultInjectionAbort) -> FaultAbort:
    out = FaultAbort(percentage=percent(abort.percentage))
    if abort.grpc_status is not None:
        out.grpc_status = GRPC_STATUSES.get(abort.grpc_status.upper(), GRPC_STATUSES["UNKNOWN"])
    else:
        out.http_status = abort.http_status or 0
    return out


def cors(policy: CorsPolicy) -> EnvoyCors:
    """Which other origins may call."""
    origins = [StringMatcher(exact=origin) for origin in policy.allow_origin]
    origins += [string_matcher(origin) for origin in policy.allow_origins]
    out = EnvoyCors(
        allow_origin_string_match=origins,
        allow_methods=",".join(policy.allow_methods),
        allow_headers=",".join(policy.allow_headers),
        expose_headers=",".join(policy.expose_headers),
        filter_enabled=RuntimeFractionalPercent(
            default_value=FractionalPercent(numerator=100, denominator=FractionalPercent.HUNDRED)
        ),
    )
    out.forward_not_matching_preflights.value = policy.unmatched_preflights != "IGNORE"
    if policy.allow_credentials is not None:
        out.allow_credentials.value = policy.allow_credentials
    if policy.max_age is not None:
        out.max_age = str(int(policy.max_age.seconds))
    return out
