"""When a request is tried again: VirtualService `retries` and the default that stands without them."""

from __future__ import annotations

from http import HTTPStatus

from envoy.config.route.v3.route_components_pb2 import RetryPolicy
from envoy.extensions.retry.host.previous_hosts.v3.previous_hosts_pb2 import PreviousHostsPredicate
from envoy.extensions.retry.priority.previous_priorities.v3.previous_priorities_config_pb2 import (
    PreviousPrioritiesConfig,
)

from artemon.model.virtual_service import HTTPRetry
from artemon.translate.wire import duration, packed

ATTEMPTS = 2
HOST_ATTEMPTS = 5
RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
BY_STATUS = "retriable-status-codes"
_STATUSES = frozenset(int(status) for status in HTTPStatus)


def retry_policy(retries: HTTPRetry | None, *, sticky: bool) -> RetryPolicy | None:
    """The policy of a route; None turns retries off.

    retries: what the route, or else the mesh, says; None is two more attempts where nothing can have been
    done yet. sticky: whether the destination hashes, so that another host would be the wrong one.
    """
    if retries is None:
        return _default(sticky=sticky)
    if retries.attempts <= 0:
        return None
    out = _default(sticky=sticky or retries.retry_ignore_previous_hosts is False)
    out.num_retries.value = retries.attempts
    if retries.retry_on:
        out.retry_on, codes = split_conditions(retries.retry_on)
        out.retriable_status_codes.extend(codes)
    if retries.per_try_timeout:
        out.per_try_timeout.CopyFrom(duration(retries.per_try_timeout))
    if retries.retry_remote_localities:
        out.retry_priority.name = "envoy.retry_priorities.previous_priorities"
        out.retry_priority.typed_config.CopyFrom(packed(PreviousPrioritiesConfig(update_frequency=2)))
    if retries.backoff:
        out.retry_back_off.base_interval.CopyFrom(duration(retries.backoff))
    return out


def split_conditions(text: str) -> tuple[str, list[int]]:
    """`5xx,503` as Envoy's conditions and its status codes; codes imply the condition that reads them."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    codes = [int(word) for word in words if word.isdigit() and int(word) in _STATUSES]
    conditions = [word for word in words if not (word.isdigit() and int(word) in _STATUSES)]
    if codes and BY_STATUS not in conditions:
        conditions.append(BY_STATUS)
    return ",".join(conditions), codes


def _default(*, sticky: bool) -> RetryPolicy:
    out = RetryPolicy(retry_on=RETRY_ON, host_selection_retry_max_attempts=HOST_ATTEMPTS)
    out.num_retries.value = ATTEMPTS
    if not sticky:
        predicate = out.retry_host_predicate.add(name="envoy.retry_host_predicates.previous_hosts")
        predicate.typed_config.CopyFrom(packed(PreviousHostsPredicate()))
    return out
