"""HTTPRoute: the fields that the standard channel of Gateway API has."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from artemon.model.duration import Duration
from artemon.model.gateway_api import GROUP
from artemon.model.message import Int32, Message, Seq


class ParentReference(Message):
    """A Gateway that a route attaches to, or a Service whose clients it is for."""

    required: ClassVar[tuple[str, ...]] = ("name",)

    group: str = GROUP
    kind: str = "Gateway"
    namespace: str = ""
    name: str = ""
    section_name: str = ""
    port: Int32 = 0


class HTTPPathMatch(Message):
    """The path of a request."""

    type: Literal["Exact", "PathPrefix", "RegularExpression"] = "PathPrefix"
    value: str = "/"


class HTTPValueMatch(Message):
    """A header or query parameter of a request."""

    required: ClassVar[tuple[str, ...]] = ("name", "value")

    type: Literal["Exact", "RegularExpression"] = "Exact"
    name: str = ""
    value: str = ""


class HTTPRouteMatch(Message):
    """Conditions that must all hold."""

    path: HTTPPathMatch | None = None
    headers: Seq[HTTPValueMatch] = ()
    query_params: Seq[HTTPValueMatch] = ()
    method: str = ""


class HTTPHeader(Message):
    """A header with its value."""

    required: ClassVar[tuple[str, ...]] = ("name", "value")

    name: str = ""
    value: str = ""


class HTTPHeaderFilter(Message):
    """Changes to headers."""

    set_: Seq[HTTPHeader] = Field(default=(), alias="set")
    add: Seq[HTTPHeader] = ()
    remove: Seq[str] = ()


class HTTPPathModifier(Message):
    """Another path."""

    required: ClassVar[tuple[str, ...]] = ("type",)
    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {"path": ("replaceFullPath", "replacePrefixMatch")}

    type: Literal["ReplaceFullPath", "ReplacePrefixMatch"] = "ReplaceFullPath"
    replace_full_path: str | None = None
    replace_prefix_match: str | None = None


class HTTPRequestRedirectFilter(Message):
    """Answer with a redirection."""

    scheme: str = ""
    hostname: str = ""
    path: HTTPPathModifier | None = None
    port: Int32 = 0
    status_code: Int32 = 302


class HTTPURLRewriteFilter(Message):
    """Change host or path before forwarding."""

    hostname: str = ""
    path: HTTPPathModifier | None = None


class BackendObjectReference(Message):
    """A Service, or with group `networking.istio.io` and kind `Hostname` a host of the mesh."""

    required: ClassVar[tuple[str, ...]] = ("name",)

    group: str = ""
    kind: str = "Service"
    name: str = ""
    namespace: str = ""
    port: Int32 = 0


class Fraction(Message):
    """A share."""

    required: ClassVar[tuple[str, ...]] = ("numerator",)

    numerator: Int32 = 0
    denominator: Int32 = 100


class HTTPRequestMirrorFilter(Message):
    """Where a copy of (a share of) the requests goes."""

    required: ClassVar[tuple[str, ...]] = ("backendRef",)
    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {"share": ("percent", "fraction")}

    backend_ref: BackendObjectReference | None = None
    percent: Int32 | None = None
    fraction: Fraction | None = None


class LocalObjectReference(Message):
    """An object of the same namespace."""

    required: ClassVar[tuple[str, ...]] = ("group", "kind", "name")

    group: str = ""
    kind: str = ""
    name: str = ""


class HTTPRouteFilter(Message):
    """Something that is done with a request or its answer."""

    required: ClassVar[tuple[str, ...]] = ("type",)

    type: str = ""
    request_header_modifier: HTTPHeaderFilter | None = None
    response_header_modifier: HTTPHeaderFilter | None = None
    request_mirror: HTTPRequestMirrorFilter | None = None
    request_redirect: HTTPRequestRedirectFilter | None = None
    url_rewrite: HTTPURLRewriteFilter | None = None
    extension_ref: LocalObjectReference | None = None


class HTTPBackendRef(BackendObjectReference):
    """A backend with its share of the requests, relative to the others'."""

    weight: Int32 = 1
    filters: Seq[HTTPRouteFilter] = ()


class HTTPRouteTimeouts(Message):
    """How long a request may take, and one attempt at a backend."""

    request: Duration | None = None
    backend_request: Duration | None = None


class HTTPRouteRule(Message):
    """Requests that match (any of `matches`, or all without it) and what happens to them."""

    name: str = ""
    matches: Seq[HTTPRouteMatch] = ()
    filters: Seq[HTTPRouteFilter] = ()
    backend_refs: Seq[HTTPBackendRef] = ()
    timeouts: HTTPRouteTimeouts | None = None


class HTTPRoute(Message):
    """Where requests go that come through Gateways."""

    parent_refs: Seq[ParentReference] = ()
    hostnames: Seq[str] = ()
    rules: Seq[HTTPRouteRule] = ()
