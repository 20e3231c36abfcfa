"""VirtualService: the fields of Istio's v1 schema."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from artemon.model.duration import Duration
from artemon.model.message import Int32, Message, Seq, Uint32


class StringMatch(Message):
    """Text that is equal, begins so, or matches a regular expression (RE2) as a whole."""

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {"match_type": ("exact", "prefix", "regex")}

    exact: str | None = None
    prefix: str | None = None
    regex: str | None = None


class CorsPolicy(Message):
    """Cross-origin requests (Fetch standard): who may call what from a browser."""

    allow_origin: Seq[str] = ()
    allow_origins: Seq[StringMatch] = ()
    allow_methods: Seq[str] = ()
    allow_headers: Seq[str] = ()
    expose_headers: Seq[str] = ()
    max_age: Duration | None = None
    allow_credentials: bool | None = None
    unmatched_preflights: Literal["UNSPECIFIED", "FORWARD", "IGNORE"] = "UNSPECIFIED"


class Delegate(Message):
    """Another VirtualService, without hosts, that holds the routes."""

    name: str = ""
    namespace: str = ""


class PortSelector(Message):
    """A port by number."""

    number: Uint32 = 0


class Destination(Message):
    """Where requests go: a host, one of its subsets, one of its ports."""

    required: ClassVar[tuple[str, ...]] = ("host",)

    host: str = ""
    subset: str = ""
    port: PortSelector | None = None


class HTTPBody(Message):
    """A fixed body: text, or bytes in base64."""

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {"specifier": ("string", "bytes")}

    string: str | None = None
    bytes_: str | None = Field(default=None, alias="bytes")


class HTTPDirectResponse(Message):
    """A fixed answer that no instance is asked for."""

    required: ClassVar[tuple[str, ...]] = ("status",)

    status: Uint32 = 0
    body: HTTPBody | None = None


class Percent(Message):
    """A share of 0 to 100; steps of 0.0001 count."""

    value: float = 0.0


class HTTPFaultInjectionAbort(Message):
    """Answer with an error instead of forwarding; without a percentage: never."""

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {"error_type": ("httpStatus", "grpcStatus", "http2Error")}

    http_status: Int32 | None = None
    grpc_status: str | None = None
    http2_error: str | None = None
    percentage: Percent | None = None


class HTTPFaultInjectionDelay(Message):
    """Wait before forwarding; without a percentage: never."""

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {"http_delay_type": ("fixedDelay", "exponentialDelay")}

    percent: Int32 = 0
    fixed_delay: Duration | None = None
    exponential_delay: Duration | None = None
    percentage: Percent | None = None


class HTTPFaultInjection(Message):
    """Faults made on purpose, to see what callers do."""

    delay: HTTPFaultInjectionDelay | None = None
    abort: HTTPFaultInjectionAbort | None = None


class HTTPMatchRequest(Message):
    """Conditions that must all hold. Header and query values of `{}` ask for presence only."""

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
    """Where a copy of a share of the requests goes; its answers are dropped."""

    required: ClassVar[tuple[str, ...]] = ("destination",)

    destination: Destination | None = None
    percentage: Percent | None = None


class HTTPRedirect(Message):
    """Answer with a redirection (301 unless written)."""

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {"redirect_port": ("port", "derivePort")}

    uri: str = ""
    authority: str = ""
    port: Uint32 | None = None
    derive_port: Literal["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"] | None = None
    scheme: str = ""
    redirect_code: Uint32 = 0
    prefix_rewrite: str = ""


class HTTPRetry(Message):
    """How often and when to try again; `attempts: 0` means never."""

    attempts: Int32 = 0
    per_try_timeout: Duration | None = None
    retry_on: str = ""
    retry_remote_localities: bool | None = None
    retry_ignore_previous_hosts: bool | None = None
    backoff: Duration | None = None


class RegexRewrite(Message):
    """Rewrite the path by a regular expression (RE2) with `\\1` for its groups."""

    match: str = ""
    rewrite: str = ""


class HTTPRewrite(Message):
    """Change path or authority before forwarding."""

    uri: str = ""
    authority: str = ""
    uri_regex_rewrite: RegexRewrite | None = None


class HeadersHeaderOperations(Message):
    """Changes to headers: set replaces, add appends, remove takes away."""

    set_: dict[str, str] = Field(default_factory=dict, alias="set")
    add: dict[str, str] = Field(default_factory=dict)
    remove: Seq[str] = ()


class Headers(Message):
    """Changes to the headers of requests and responses."""

    request: HeadersHeaderOperations | None = None
    response: HeadersHeaderOperations | None = None


class HTTPRouteDestination(Message):
    """One destination and its share of the requests, relative to the others'."""

    required: ClassVar[tuple[str, ...]] = ("destination",)

    destination: Destination | None = None
    weight: Int32 = 0
    headers: Headers | None = None


class HTTPRoute(Message):
    """Requests that match (any of `match`, or all without it) and what happens to them."""

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
    """Conditions on a connection that must all hold."""

    destination_subnets: Seq[str] = ()
    port: Uint32 = 0
    source_subnet: str = ""
    source_labels: dict[str, str] = Field(default_factory=dict)
    gateways: Seq[str] = ()
    source_namespace: str = ""


class RouteDestination(Message):
    """One destination and its share of the connections, relative to the others'."""

    required: ClassVar[tuple[str, ...]] = ("destination",)

    destination: Destination | None = None
    weight: Int32 = 0


class TCPRoute(Message):
    """Connections that match and where they go."""

    match: Seq[L4MatchAttributes] = ()
    route: Seq[RouteDestination] = ()


class TLSMatchAttributes(Message):
    """Conditions on a TLS connection (by its SNI) that must all hold."""

    required: ClassVar[tuple[str, ...]] = ("sniHosts",)

    sni_hosts: Seq[str] = ()
    destination_subnets: Seq[str] = ()
    port: Uint32 = 0
    source_labels: dict[str, str] = Field(default_factory=dict)
    gateways: Seq[str] = ()
    source_namespace: str = ""


class TLSRoute(Message):
    """TLS connections that match, forwarded as they are, and where they go."""

    required: ClassVar[tuple[str, ...]] = ("match",)

    match: Seq[TLSMatchAttributes] = ()
    route: Seq[RouteDestination] = ()


class VirtualService(Message):
    """Where requests to hosts go. The first route that matches wins."""

    hosts: Seq[str] = ()
    gateways: Seq[str] = ()
    http: Seq[HTTPRoute] = ()
    tls: Seq[TLSRoute] = ()
    tcp: Seq[TCPRoute] = ()
    export_to: Seq[str] = ()
