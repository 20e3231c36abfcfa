"""Checks of mixerd's rules as Envoy's filter: one question for each request that a rule could be about."""

from __future__ import annotations

from collections.abc import Iterator

from envoy.config.core.v3.base_pb2 import HeaderValue
from envoy.config.core.v3.config_source_pb2 import ApiVersion
from envoy.config.rbac.v3.rbac_pb2 import RBAC, Permission, Policy, Principal
from envoy.extensions.filters.http.ext_authz.v3.ext_authz_pb2 import ExtAuthz
from envoy.extensions.filters.http.rbac.v3.rbac_pb2 import RBAC as HttpRbac
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter

from artemon.expr import VOCABULARY, ExpressionRefused
from artemon.expr.partial import could_hold
from artemon.expr.values import Value
from artemon.model.canonical import canonical_name, canonical_revision
from artemon.model.mixer import ASKED_SERVICE, ASKED_VERSION
from artemon.model.proxy import ProxyType
from artemon.model.rate_limit import MIXERD, MIXERD_PORT
from artemon.snapshot.checks import AskedRule
from artemon.snapshot.policies import MIXERD_ASKED
from artemon.snapshot.view import ProxyView
from artemon.translate.narrowed import Condition, any_of, condition, negated, skipped_when
from artemon.translate.telemetry.providers import grpc_to
from artemon.translate.wire import duration, packed

EXT_AUTHZ, RBAC_FILTER = "envoy.filters.http.ext_authz", "envoy.filters.http.rbac"
OPEN = f"{EXT_AUTHZ}.open"
JWT = "envoy.filters.http.jwt_authn"
PATIENCE = 2_500_000_000
"""Nanoseconds: a little more than mixerd gives a handler."""
UNAVAILABLE = 503


def check_filters(view: ProxyView) -> Iterator[HttpFilter]:
    """The filters of a proxy whose requests a rule could be about: one question for each such request. Where
    mixerd cannot be asked, or nobody is seen who can be, those are refused that a rule without `failOpen`
    could be about; all others go on."""
    service, version = _workload(view)
    rules = [one for one in view.policies.checks if _concerns(one, view, service, version)]
    shut = [condition(one.match) for one in rules if not one.fail_open]
    open_ = [condition(one.match) for one in rules if one.fail_open]
    closing = any_of(shut) if shut else None
    seen = bool(view.policies.authorizers.get(MIXERD_ASKED))
    if shut:
        inner = _asking(view, service, version, EXT_AUTHZ, fail_open=False) if seen else _closed()
        yield inner if closing is None else skipped_when(negated(closing), inner)
    if not seen or not open_ or (shut and closing is None):
        return
    inner = _asking(view, service, version, OPEN, fail_open=True)
    wanted = any_of(open_)
    unwanted: list[Condition] = [
        *([closing] if closing is not None else []),
        *([negated(wanted)] if wanted else []),
    ]
    either = any_of(unwanted) if unwanted else None
    yield inner if either is None else skipped_when(either, inner)


def _asking(view: ProxyView, service: str, version: str, name: str, *, fail_open: bool) -> HttpFilter:
    out = ExtAuthz(transport_api_version=ApiVersion.V3, failure_mode_allow=fail_open)
    out.grpc_service.CopyFrom(grpc_to(MIXERD, MIXERD_PORT))
    out.grpc_service.timeout.CopyFrom(duration(PATIENCE))
    for key, value in ((ASKED_SERVICE, service), (ASKED_VERSION, version)):
        if value:
            out.grpc_service.initial_metadata.append(HeaderValue(key=key, value=value))
    out.include_tls_session = True
    out.include_peer_certificate = view.proxy.type is ProxyType.SIDECAR  # what gateways see may be anybody's
    out.metadata_context_namespaces.append(JWT)
    out.status_on_error.code = UNAVAILABLE
    return HttpFilter(name=name, typed_config=packed(out))


def _workload(view: ProxyView) -> tuple[str, str]:
    """Canonical service and revision, as far as labels tell them."""
    labels = view.proxy.labels
    return canonical_name("", labels), canonical_revision(labels)


def _concerns(rule: AskedRule, view: ProxyView, service: str, version: str) -> bool:
    """Whether mixerd could find that a rule holds: by what is told of the workload, and its namespace."""
    if not rule.match:
        return True
    namespace = view.proxy.namespace
    known: dict[str, Value] = {"context.reporter.kind": "inbound"}
    spaces = ("destination.namespace", "destination.workload.namespace", "destination.service.namespace")
    known |= dict.fromkeys(spaces, namespace)
    if service:
        host = f"{service}.{namespace}.svc.cluster.local"
        known |= {"destination.service.name": service, "destination.service.host": host}
        known |= {"destination.service": host, "destination.labels": _labels(service, version)}
    try:
        return could_hold(rule.match, VOCABULARY, known)
    except ExpressionRefused:  # it speaks of attributes that a manifest declares: mixerd knows
        return True


def _labels(service: str, version: str) -> dict[str, str]:
    return {name: value for name, value in (("app", service), ("version", version)) if value}


def _closed() -> HttpFilter:
    policy = Policy(permissions=[Permission(any=True)], principals=[Principal(any=True)])
    rules = RBAC(action=RBAC.DENY, policies={"nobody-checks": policy})
    return HttpFilter(name=RBAC_FILTER, typed_config=packed(HttpRbac(rules=rules)))
