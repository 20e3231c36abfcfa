"""CUSTOM: rules say which requests an external authorizer (`MeshConfig.extensionProviders`) decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from envoy.config.core.v3.base_pb2 import HeaderValue
from envoy.config.core.v3.config_source_pb2 import ApiVersion
from envoy.config.core.v3.grpc_service_pb2 import GrpcService
from envoy.config.rbac.v3.rbac_pb2 import RBAC
from envoy.extensions.filters.http.ext_authz.v3.ext_authz_pb2 import ExtAuthz
from envoy.extensions.filters.network.ext_authz.v3.ext_authz_pb2 import ExtAuthz as NetworkExtAuthz
from envoy.type.matcher.v3.metadata_pb2 import MetadataMatcher
from envoy.type.matcher.v3.string_pb2 import ListStringMatcher, StringMatcher
from envoy.type.matcher.v3.value_pb2 import ValueMatcher

from artemon.model.duration import Duration, Nanoseconds
from artemon.model.mesh_providers import ExtAuthzBody, ExtAuthzGrpc, ExtAuthzHttp
from artemon.snapshot.view import ProxyView
from artemon.translate import names
from artemon.translate.authz.ground import Speech
from artemon.translate.authz.rbac import Authorization, named_rules
from artemon.translate.authz.texts import regex
from artemon.translate.wire import duration

HTTP_RBAC = "envoy.filters.http.rbac"
NETWORK_RBAC = "envoy.filters.network.rbac"
STAT_PREFIX = "istio_ext_authz_"
MATCHED = f"{STAT_PREFIX}shadow_effective_policy_id"
_PREFIX = "istio-ext-authz"
_REFUSED = "deny-due-to-bad-CUSTOM-action"
_PATIENCE = Nanoseconds(600 * 1_000_000_000)
"""How long an answer may take where the provider does not say (Istio)."""
_STATUSES = frozenset(
    {100, *range(200, 209), 226, *range(300, 306), 307, 308, *range(400, 419), 421, 422, 423, 424, 426, 428,
     429, 431, *range(500, 509), 510, 511}
)  # fmt: skip
"""The statuses that Envoy has a name for."""


@dataclass(frozen=True, slots=True)
class External:
    """Which requests an authorizer is asked about, and how it is asked. rules: enforced (DENY) where nobody
    can be asked; else shadow rules. authorizer: the filter's configuration, None where nobody can be."""

    rules: RBAC
    authorizer: ExtAuthz | NetworkExtAuthz | None = None


def external(view: ProxyView, policies: Sequence[Authorization], speech: Speech) -> External | None:
    """The authorizer of these CUSTOM policies. Without exactly one that can be asked, all are refused."""
    if not policies:
        return None
    asked = {one.spec.provider.name if one.spec.provider else "" for one in policies}
    authorizer = _authorizer(view, asked.pop(), speech) if len(asked) == 1 else None
    out = RBAC(action=RBAC.DENY)
    for policy in policies:
        provider = policy.spec.provider.name if policy.spec.provider else ""
        for name, rule in named_rules(view, policy, speech):
            title = f"{_PREFIX}-{provider}-{name}"
            out.policies[title if authorizer else f"{title}-{_REFUSED}"].CopyFrom(rule)
    return External(out, authorizer)


def _authorizer(view: ProxyView, name: str, speech: Speech) -> ExtAuthz | NetworkExtAuthz | None:
    host = view.policies.authorizers.get(name, "")
    provider = next((one for one in view.mesh.extension_providers if one.name == name), None)
    if provider is None or not host or speech is Speech.GRPC:
        return None
    settings = provider.envoy_ext_authz_grpc or provider.envoy_ext_authz_http
    if settings is None or not _is_sound(settings):
        return None
    if speech is Speech.TCP:
        grpc = provider.envoy_ext_authz_grpc
        return _for_connections(grpc, name, host) if grpc else None
    out = ExtAuthz(transport_api_version=ApiVersion.V3, failure_mode_allow=settings.fail_open)
    out.filter_enabled_metadata.CopyFrom(_when_matched(HTTP_RBAC, name))
    out.clear_route_cache = bool(settings.clear_route_cache)
    if settings.status_on_error:
        out.status_on_error.code = int(settings.status_on_error)
    _body(out, settings.include_request_body_in_check)
    if isinstance(settings, ExtAuthzGrpc):
        out.grpc_service.CopyFrom(_grpc(settings, host))
    else:
        _http(out, settings, host)
    return out


def _is_sound(settings: ExtAuthzGrpc | ExtAuthzHttp) -> bool:
    """Whether Envoy would take it."""
    status = settings.status_on_error
    path = settings.path_prefix if isinstance(settings, ExtAuthzHttp) else ""
    known = not status or (status.isdigit() and int(status) in _STATUSES)
    return 0 < settings.port < 65536 and known and (not path or path.startswith("/"))


def _for_connections(settings: ExtAuthzGrpc, name: str, host: str) -> NetworkExtAuthz:
    return NetworkExtAuthz(
        stat_prefix="tcp.",
        transport_api_version=ApiVersion.V3,
        failure_mode_allow=settings.fail_open,
        grpc_service=_grpc(settings, host),
        filter_enabled_metadata=_when_matched(NETWORK_RBAC, name),
    )


def _when_matched(filter_name: str, provider: str) -> MetadataMatcher:
    value = ValueMatcher(string_match=StringMatcher(prefix=f"{_PREFIX}-{provider}-"))
    return MetadataMatcher(filter=filter_name, path=[MetadataMatcher.PathSegment(key=MATCHED)], value=value)


def _grpc(settings: ExtAuthzGrpc, host: str) -> GrpcService:
    out = GrpcService(timeout=duration(_wait(settings.timeout)))
    out.envoy_grpc.cluster_name = names.outbound_cluster(host, settings.port)
    out.envoy_grpc.authority = host
    return out


def _wait(timeout: Duration | None) -> int:
    return int(timeout) if timeout else int(_PATIENCE)


def _http(out: ExtAuthz, settings: ExtAuthzHttp, host: str) -> None:
    sent = settings.include_request_headers_in_check or settings.include_headers_in_check
    if sent:
        out.allowed_headers.CopyFrom(_headers(sent))
    service = out.http_service
    service.path_prefix = settings.path_prefix
    service.server_uri.uri = f"http://{host}"
    service.server_uri.cluster = names.outbound_cluster(host, settings.port)
    service.server_uri.timeout.CopyFrom(duration(_wait(settings.timeout)))
    service.authorization_request.headers_to_add.extend(
        HeaderValue(key=key, value=value)
        for key, value in sorted(settings.include_additional_headers_in_check.items())
    )
    answer = service.authorization_response
    for field, listed in _answer_headers(settings).items():
        if listed:
            getattr(answer, field).CopyFrom(_headers(listed))


def _answer_headers(settings: ExtAuthzHttp) -> Mapping[str, Sequence[str]]:
    return {
        "allowed_upstream_headers": settings.headers_to_upstream_on_allow,
        "allowed_client_headers": settings.headers_to_downstream_on_deny,
        "allowed_client_headers_on_success": settings.headers_to_downstream_on_allow,
    }


def _headers(listed: Sequence[str]) -> ListStringMatcher:
    return ListStringMatcher(patterns=[_header(one) for one in listed])


def _header(name: str) -> StringMatcher:
    if name == "*":
        return regex(".*")
    if name.startswith("*"):
        return StringMatcher(suffix=name[1:], ignore_case=True)
    if name.endswith("*"):
        return StringMatcher(prefix=name[:-1], ignore_case=True)
    return StringMatcher(exact=name, ignore_case=True)


def _body(out: ExtAuthz, body: ExtAuthzBody | None) -> None:
    if body is not None and body.max_request_bytes:
        out.with_request_body.max_request_bytes = body.max_request_bytes
        out.with_request_body.allow_partial_message = body.allow_partial_message
        out.with_request_body.pack_as_bytes = body.pack_as_bytes
