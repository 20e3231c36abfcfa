"""VirtualService: the fields of Istio's v1 schema."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from artemon.model.duration import Duration
from artemon.model.message import Int32, Message, Seq, Uint32


class StringMatch(Message):
    """`StringMatch` of Istio's VirtualService."""

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {"match_type": ("exact", "prefix", "regex")}

    exact: str | None = None
    prefix: str | None = None
    regex: str | None = None


class CorsPolicy(Message):
    """`CorsPolicy` of Istio's VirtualService."""

    allow_origin: Seq[str] = ()
    allow_origins: Seq[StringMatch] = ()
    allow_methods: Seq[str] = ()
    allow_headers: Seq[str] = ()
    expose_headers: Seq[str] = ()
    max_age: Duration | None = None
    allow_credentials: bool | None = None
    unmatched_preflights: Literal["UNSPECIFIED", "FORWARD", "IGNORE"] = "UNSPECIFIED"


class Delegate(Message):
    """`Delegate` of Istio's VirtualService."""

    name: str = ""
    namespace: str = ""


class PortSelector(Message):
    """`PortSelector` of Istio's VirtualService."""

    number: Uint32 = 0


class Destination(Message):
    """`Destination` of Istio's VirtualService."""

    host: str = ""
    subset: str = ""
    port: PortSelector | None = None


class HTTPBody(Message):
    """`HTTPBody` of Istio's VirtualService."""

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {"specifier": ("string", "bytes")}

    string: str | None = None
    bytes_: str | None = Field(default=None, alias="bytes")


class HTTPDirectResponse(Message):
    """`HTTPDirectResponse` of Istio's VirtualService."""

    status: Uint32 = 0
    body: HTTPBody | None = None


class Percent(Message):
    """`Percent` of Istio's VirtualService."""

    value: float = 0.0


class HTTPFaultInjectionAbort(Message):
    """`HTTPFaultInjection.Abort` of Istio's VirtualService."""

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {"error_type": ("httpStatus", "grpcStatus", "http2Error")}

    http_status: Int32 | None = None
    grpc_status: str | None = None
    http2_error: str | None = None
    percentage: Percent | None = None


class HTTPFaultInjectionDelay(Message):
    """`HTTPFaultInjection.Delay` of Istio's VirtualService."""

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {"http_delay_type": ("fixedDelay", "exponentialDelay")}

    percent: Int32 = 0
    fixed_delay: Duration | None = None
    exponential_delay: Duration | None = None
    percentage: Percent | None = None


class HTTPFaultInjection(Message):
    """`HTTPFaultInjection` of Istio's VirtualService."""

    delay: HTTPFaultInjectionDelay | None = None
    abort: HTTPFaultInjectionAbort | None = None


class HTTPMatchRequest(Message):
    """`HTTPMatchRequest` of Istio's VirtualService."""

    name: str = ""
    uri: StringMatch | None = None
    scheme: StringMatch | None = None
    method: StringMatch | None = None
    authority: StringMatch | None = None
    headers: dict[str, StringMatch] = Field(default_factory=dict)
    port: Uint32 = 0
    source_labels: dict[str, str] = Field(default_factory=dict)
    gateways: Seq[str] = ()
    query_params: dict[str, StringMatch] = Field(default_factory=dict)
    ignore_uri_case: bool = False
    without_headers: dict[str, StringMatch] = Field(default_factory=dict)
    source_namespace: str = ""
    stat_prefix: str = ""


class HTTPMirrorPolicy(Message):
    """`HTTPMirrorPolicy` of Istio's VirtualService."""

    destination: Destination | None = None
    percentage: Percent | None = None


class HTTPRedirect(Message):
    """`HTTPRedirect` of Istio's VirtualService."""

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {"redirect_port": ("port", "derivePort")}

    uri: str = ""
    authority: str = ""
    port: Uint32 | None = None
    derive_port: Literal["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"] | None = None
    scheme: str = ""
    redirect_code: Uint32 = 0
    prefix_rewrite: str = ""


class HTTPRetry(Message):
    """`HTTPRetry` of Istio's VirtualService."""

    attempts: Int32 = 0
    per_try_timeout: Duration | None = None
    retry_on: str = ""
    retry_remote_localities: bool | None = None
    retry_ignore_previous_hosts: bool | None = None
    backoff: Duration | None = None


class RegexRewrite(Message):
    """`RegexRewrite` of Istio's VirtualService."""

    match: str = ""
    rewrite: str = ""


class HTTPRewrite(Message):
    """`HTTPRewrite` of Istio's VirtualService."""

    uri: str = ""
    authority: str = ""
    uri_regex_rewrite: RegexRewrite | None = None


class HeadersHeaderOperations(Message):
    """`Headers.HeaderOperations` of Istio's VirtualService."""

    set_: dict[str, str] = Field(default_factory=dict, alias="set")
    add: dict[str, str] = Field(default_factory=dict)
    remove: Seq[str] = ()


class Headers(Message):
    """`Headers` of Istio's VirtualService."""

    request: HeadersHeaderOperations | None = None
    response: HeadersHeaderOperations | None = None


class HTTPRouteDestination(Message):
    """`HTTPRouteDestination` of Istio's VirtualService."""

    destination: Destination | None = None
    weight: Int32 = 0
    headers: Headers | None = None


class HTTPRoute(Message):
    """`HTTPRoute` of Istio's VirtualService."""

    name: str = ""
    match: Seq[HTTPMatchRequest] = ()
    route: Seq[HTTPRouteDestination] = ()
    redirect: HTTPRedirect | None = None
    direct_response: HTTPDirectResponse | None = None
    delegate: Delegate | None = None
    rewrite: HTTPRewrite | None = None
    timeout: Duration | None = None
    retries: HTTPRetry | None = None
    fault: HTTPFaultInjection | None = None
    mirror: Destination | None = None
    mirrors: Seq[HTTPMirrorPolicy] = ()
    mirror_percent: Uint32 | None = None
    mirror_percentage: Percent | None = None
    cors_policy: CorsPolicy | None = None
    headers: Headers | None = None


class L4MatchAttributes(Message):
    """`L4MatchAttributes` of Istio's VirtualService."""

    destination_subnets: Seq[str] = ()
    port: Uint32 = 0
    source_subnet: str = ""
    source_labels: dict[str, str] = Field(default_factory=dict)
    gateways: Seq[str] = ()
    source_namespace: str = ""


class RouteDestination(Message):
    """`RouteDestination` of Istio's VirtualService."""

    destination: Destination | None = None
    weight: Int32 = 0


class TCPRoute(Message):
    """`TCPRoute` of Istio's VirtualService."""

    match: Seq[L4MatchAttributes] = ()
    route: Seq[RouteDestination] = ()


class TLSMatchAttributes(Message):
    """`TLSMatchAttributes` of Istio's VirtualService."""

    sni_hosts: Seq[str] = ()
    destination_subnets: Seq[str] = ()
    port: Uint32 = 0
    source_labels: dict[str, str] = Field(default_factory=dict)
    gateways: Seq[str] = ()
    source_namespace: str = ""


class TLSRoute(Message):
    """`TLSRoute` of Istio's VirtualService."""

    match: Seq[TLSMatchAttributes] = ()
    route: Seq[RouteDestination] = ()


class VirtualService(Message):
    """The spec of a VirtualService."""

    hosts: Seq[str] = ()
    gateways: Seq[str] = ()
    http: Seq[HTTPRoute] = ()
    tls: Seq[TLSRoute] = ()
    tcp: Seq[TCPRoute] = ()
    export_to: Seq[str] = ()
