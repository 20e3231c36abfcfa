"""EnvoyFilter: the fields of Istio's v1 schema."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from artemon.model.message import Int32, Message, Seq, Uint32
from artemon.model.selector import LabelsSelector, PolicyTargetReference


class EnvoyFilterClusterMatch(Message):
    """`EnvoyFilter.ClusterMatch` of Istio's EnvoyFilter."""

    port_number: Uint32 = 0
    service: str = ""
    subset: str = ""
    name: str = ""


class EnvoyFilterListenerMatchSubFilterMatch(Message):
    """`EnvoyFilter.ListenerMatch.SubFilterMatch` of Istio's EnvoyFilter."""

    name: str = ""


class EnvoyFilterListenerMatchFilterMatch(Message):
    """`EnvoyFilter.ListenerMatch.FilterMatch` of Istio's EnvoyFilter."""

    name: str = ""
    sub_filter: EnvoyFilterListenerMatchSubFilterMatch | None = None


class EnvoyFilterListenerMatchFilterChainMatch(Message):
    """`EnvoyFilter.ListenerMatch.FilterChainMatch` of Istio's EnvoyFilter."""

    name: str = ""
    sni: str = ""
    transport_protocol: str = ""
    application_protocols: str = ""
    filter: EnvoyFilterListenerMatchFilterMatch | None = None
    destination_port: Uint32 = 0


class EnvoyFilterListenerMatch(Message):
    """`EnvoyFilter.ListenerMatch` of Istio's EnvoyFilter."""

    port_number: Uint32 = 0
    port_name: str = ""
    filter_chain: EnvoyFilterListenerMatchFilterChainMatch | None = None
    listener_filter: str = ""
    name: str = ""


class EnvoyFilterProxyMatch(Message):
    """`EnvoyFilter.ProxyMatch` of Istio's EnvoyFilter."""

    proxy_version: str = ""
    metadata: dict[str, str] = Field(default_factory=dict)


class EnvoyFilterRouteConfigurationMatchRouteMatch(Message):
    """`EnvoyFilter.RouteConfigurationMatch.RouteMatch` of Istio's EnvoyFilter."""

    name: str = ""
    action: Literal["ANY", "ROUTE", "REDIRECT", "DIRECT_RESPONSE"] = "ANY"


class EnvoyFilterRouteConfigurationMatchVirtualHostMatch(Message):
    """`EnvoyFilter.RouteConfigurationMatch.VirtualHostMatch` of Istio's EnvoyFilter."""

    name: str = ""
    domain_name: str = ""
    route: EnvoyFilterRouteConfigurationMatchRouteMatch | None = None


class EnvoyFilterRouteConfigurationMatch(Message):
    """`EnvoyFilter.RouteConfigurationMatch` of Istio's EnvoyFilter."""

    port_number: Uint32 = 0
    port_name: str = ""
    gateway: str = ""
    vhost: EnvoyFilterRouteConfigurationMatchVirtualHostMatch | None = None
    name: str = ""


class EnvoyFilterWaypointMatchFilterMatchSubFilterMatch(Message):
    """`EnvoyFilter.WaypointMatch.FilterMatch.SubFilterMatch` of Istio's EnvoyFilter."""

    name: str = ""


class EnvoyFilterWaypointMatchFilterMatch(Message):
    """`EnvoyFilter.WaypointMatch.FilterMatch` of Istio's EnvoyFilter."""

    name: str = ""
    sub_filter: EnvoyFilterWaypointMatchFilterMatchSubFilterMatch | None = None


class EnvoyFilterWaypointMatchRouteMatch(Message):
    """`EnvoyFilter.WaypointMatch.RouteMatch` of Istio's EnvoyFilter."""

    name: str = ""


class EnvoyFilterWaypointMatch(Message):
    """`EnvoyFilter.WaypointMatch` of Istio's EnvoyFilter."""

    port_number: Uint32 = 0
    route: EnvoyFilterWaypointMatchRouteMatch | None = None
    filter: EnvoyFilterWaypointMatchFilterMatch | None = None


class EnvoyFilterEnvoyConfigObjectMatch(Message):
    """`EnvoyFilter.EnvoyConfigObjectMatch` of Istio's EnvoyFilter."""

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
    """`EnvoyFilter.Patch` of Istio's EnvoyFilter."""

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
    """`EnvoyFilter.EnvoyConfigObjectPatch` of Istio's EnvoyFilter."""

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
    """The spec of a EnvoyFilter."""

    workload_selector: LabelsSelector | None = None
    target_refs: Seq[PolicyTargetReference] = ()
    config_patches: Seq[EnvoyFilterEnvoyConfigObjectPatch] = ()
    priority: Int32 = 0
