"""GRPCRoute: the fields that the standard channel of Gateway API has."""

from __future__ import annotations

from typing import ClassVar, Literal

from artemon.model.gateway_routes import (
    BackendObjectReference,
    HTTPHeaderFilter,
    HTTPRequestMirrorFilter,
    HTTPValueMatch,
    LocalObjectReference,
    ParentReference,
)
from artemon.model.message import Int32, Message, Seq


class GRPCMethodMatch(Message):
    """A service and a method; without one, any of it."""

    type: Literal["Exact", "RegularExpression"] = "Exact"
    service: str = ""
    method: str = ""


class GRPCRouteMatch(Message):
    """Conditions that must all hold."""

    method: GRPCMethodMatch | None = None
    headers: Seq[HTTPValueMatch] = ()


class GRPCRouteFilter(Message):
    """Something that is done with a call or its answer."""

    required: ClassVar[tuple[str, ...]] = ("type",)

    type: str = ""
    request_header_modifier: HTTPHeaderFilter | None = None
    response_header_modifier: HTTPHeaderFilter | None = None
    request_mirror: HTTPRequestMirrorFilter | None = None
    extension_ref: LocalObjectReference | None = None


class GRPCBackendRef(BackendObjectReference):
    """A backend with its share of the calls, relative to the others'."""

    weight: Int32 = 1
    filters: Seq[GRPCRouteFilter] = ()


class GRPCRouteRule(Message):
    """Calls that match (any of `matches`, or all without it) and what happens to them."""

    name: str = ""
    matches: Seq[GRPCRouteMatch] = ()
    filters: Seq[GRPCRouteFilter] = ()
    backend_refs: Seq[GRPCBackendRef] = ()


class GRPCRoute(Message):
    """Where calls go that come through Gateways."""

    parent_refs: Seq[ParentReference] = ()
    hostnames: Seq[str] = ()
    rules: Seq[GRPCRouteRule] = ()
