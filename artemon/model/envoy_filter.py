"""EnvoyFilter: the fields of Istio's v1 schema."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from pydantic import Field

from artemon.model.message import Int32, Message, Seq, Uint32
from artemon.model.selector import LabelsSelector, PolicyTargetReference


class EnvoyFilterClusterMatch(Message):
    """Which clusters; every field that is written must match."""

    port_number: Uint32 = 0
    service: str = ""
    subset: str = ""
    name: str = ""


class EnvoyFilterListenerMatchSubFilterMatch(Message):
    """Which HTTP filter within the connection manager."""

    name: str = ""


class EnvoyFilterListenerMatchFilterMatch(Message):
    """Which network filter."""

    name: str = ""
    sub_filter: EnvoyFilterListenerMatchSubFilterMatch | None = None


class EnvoyFilterListenerMatchFilterChainMatch(Message):
    """Which filter chain of the listener."""

    name: str = ""
    sni: str = ""
    transport_protocol: str = ""
    application_protocols: str = ""
    filter: EnvoyFilterListenerMatchFilterMatch | None = None
    destination_port: Uint32 = 0


class EnvoyFilterListenerMatch(Message):
    """Which listeners; every field that is written must match."""

    port_number: Uint32 = 0
    port_name: str = ""
    filter_chain: EnvoyFilterListenerMatchFilterChainMatch | None = None
    listener_filter: str = ""
    name: str = ""


class EnvoyFilterProxyMatch(Message):
    """Which proxies, by version (a regular expression) and node metadata."""

    proxy_version: str = ""
    metadata: dict[str, str] = Field(default_factory=dict)


class EnvoyFilterRouteConfigurationMatchRouteMatch(Message):
    """Which route of the virtual host."""

    name: str = ""
    action: Literal["ANY", "ROUTE", "REDIRECT", "DIRECT_RESPONSE"] = "ANY"


class EnvoyFilterRouteConfigurationMatchVirtualHostMatch(Message):
    """Which virtual host of the route configuration."""

    name: str = ""
    domain_name: str = ""
    route: EnvoyFilterRouteConfigurationMatchRouteMatch | None = None


class EnvoyFilterRouteConfigurationMatch(Message):
    """Which route configurations; every field that is written must match."""

    port_number: Uint32 = 0
    port_name: str = ""
    gateway: str = ""
    vhost: EnvoyFilterRouteConfigurationMatchVirtualHostMatch | None = None
    name: str = ""


class EnvoyFilterWaypointMatchFilterMatchSubFilterMatch(Message):
    """Which HTTP filter of the waypoint's connection manager."""

    name: str = ""


class EnvoyFilterWaypointMatchFilterMatch(Message):
    """Which network filter of the waypoint."""

    name: str = ""
    sub_filter: EnvoyFilterWaypointMatchFilterMatchSubFilterMatch | None = None


class EnvoyFilterWaypointMatchRouteMatch(Message):
    """Which route of the waypoint."""

    name: str = ""


class EnvoyFilterWaypointMatch(Message):
    """Which part of a waypoint's configuration."""

    port_number: Uint32 = 0
    route: EnvoyFilterWaypointMatchRouteMatch | None = None
    filter: EnvoyFilterWaypointMatchFilterMatch | None = None


class EnvoyFilterEnvoyConfigObjectMatch(Message):
    """Where a patch applies: traffic direction, proxies, and one kind of object."""

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {
        "object_types": ("listener", "routeConfiguration", "cluster", "waypoint")
    }

    context: Literal["ANY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY", "WAYPOINT"] = "ANY"
    proxy: EnvoyFilterProxyMatch | None = None
    listener: EnvoyFilterListenerMatch | None = None
    route_configuration: EnvoyFilterRouteConfigurationMatch | None = None
    cluster: EnvoyFilterClusterMatch | None = None
    waypoint: EnvoyFilterWaypointMatch | None = None


class EnvoyFilterPatch(Message):
    """What is done and with which piece of Envoy configuration (proto3 JSON)."""

    operation: Literal[
        "INVALID",
        "MERGE",
        "ADD",
        "REMOVE",
        "INSERT_BEFORE",
        "INSERT_AFTER",
        "INSERT_FIRST",
        "REPLACE",
        "MERGE_AND_REPLACE_LIST",
    ] = "INVALID"
    value: dict[str, Any] | None = None
    filter_class: Literal["UNSPECIFIED", "AUTHN", "AUTHZ", "STATS"] = "UNSPECIFIED"


class EnvoyFilterEnvoyConfigObjectPatch(Message):
    """One change to the generated configuration."""

    apply_to: Literal[
        "INVALID",
        "LISTENER",
        "FILTER_CHAIN",
        "NETWORK_FILTER",
        "HTTP_FILTER",
        "ROUTE_CONFIGURATION",
        "VIRTUAL_HOST",
        "HTTP_ROUTE",
        "CLUSTER",
        "EXTENSION_CONFIG",
        "BOOTSTRAP",
        "LISTENER_FILTER",
    ] = "INVALID"
    match: EnvoyFilterEnvoyConfigObjectMatch | None = None
    patch: EnvoyFilterPatch | None = None


class EnvoyFilter(Message):
    """Changes to the configuration that the other kinds generate."""

    workload_selector: LabelsSelector | None = None
    target_refs: Seq[PolicyTargetReference] = ()
    config_patches: Seq[EnvoyFilterEnvoyConfigObjectPatch] = ()
    priority: Int32 = 0


_MERGE = {"MERGE": "MERGE", "MERGE_AND_REPLACE_LIST": "MERGE_AND_REPLACE_LIST"}
_LIST = {"ADD": "ADD", "REMOVE": "REMOVE"}
_UNORDERED = dict.fromkeys(("INSERT_FIRST", "INSERT_BEFORE", "INSERT_AFTER"), "ADD")
_ORDERED = {name: name for name in _UNORDERED}
_REPLACE = {"REPLACE": "REPLACE"}

OPERATIONS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "LISTENER": _MERGE | _LIST | _UNORDERED,
        "LISTENER_FILTER": _MERGE | _LIST | _ORDERED | _REPLACE,
        "FILTER_CHAIN": _MERGE | _LIST | _UNORDERED,
        "NETWORK_FILTER": _MERGE | _LIST | _ORDERED | _REPLACE,
        "HTTP_FILTER": _MERGE | _LIST | _ORDERED | _REPLACE,
        "ROUTE_CONFIGURATION": _MERGE,
        "VIRTUAL_HOST": _MERGE | _LIST | _UNORDERED | _REPLACE,
        "HTTP_ROUTE": _MERGE | _LIST | _ORDERED,
        "CLUSTER": _MERGE | _LIST | _UNORDERED,
        "EXTENSION_CONFIG": {"ADD": "ADD"} | _UNORDERED,
        "BOOTSTRAP": _MERGE,
    }
)
"""applyTo -> operations that have an effect, and what each amounts to: an insertion into what has no order
adds."""

ALLOW_PROTECTED = "artemon.io/allow-protected"
"""The annotation of an EnvoyFilter of the root namespace that may change what patches must not touch."""
