"""Envoy's bootstrap for one workload instance, as plain JSON values (Envoy v3 `Bootstrap`)."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from artemon.daemon.address import split_address
from artemon.model.canonical import canonical_name, canonical_revision
from artemon.model.metric_fields import TRACED
from proxyd.dns.resolvers import resolvers
from proxyd.intercept.ipv6 import has_ipv6
from proxyd.settings import LOOPBACK, ProxydSettings

XDS_SOCKET = "xds.sock"
"""Relative to the run directory, which is Envoy's working directory: a socket path ends after 107 bytes."""

ISTIO_VERSION = "1.30.0"
"""The Istio whose node metadata and names we follow."""

NEVER = "0s"
EVICTION = "3600s"
"""Metrics of the mesh that are not used for so long make room for others."""
MAX_CONNECTIONS = 50_000
REGEX_PROGRAM_SIZE = 32768
_TYPES = "type.googleapis.com/envoy.extensions"

Json = dict[str, Any]


def node_id(settings: ProxydSettings, name: str) -> str:
    """`<type>~<ip>~<name>.<namespace>~<namespace>.svc.<domain>` (Istio)."""
    namespace = settings.namespace
    domain = f"{namespace}.svc.{settings.domain}"
    return f"{settings.type}~{settings.ip_address}~{name}.{namespace}~{domain}"


def node(settings: ProxydSettings, name: str) -> Json:
    """Envoy's `Node`: who it is, as pilotd reads it."""
    cluster = f"{settings.service or name}.{settings.namespace}"
    return {"id": node_id(settings, name), "cluster": cluster, "metadata": metadata(settings, name)} | (
        {"locality": _locality(settings.locality)} if settings.locality else {}
    )


def metadata(settings: ProxydSettings, name: str) -> Json:
    """The node metadata of docs/architecture.md. Absent means none."""
    values: Json = {
        "NAMESPACE": settings.namespace,
        "SERVICE_ACCOUNT": settings.service_account,
        "NAME": name,
        "LABELS": dict(settings.labels),
        "WORKLOAD_NAME": settings.workload or settings.service or settings.workload_group or name,
        "CLUSTER_ID": settings.cluster_id,
        "INSTANCE_IPS": settings.ip_address,
        "INTERCEPTION_MODE": settings.interception,
        "ISTIO_VERSION": ISTIO_VERSION,
        "ARTEMON_PORTS": json.dumps(settings.port_list, separators=(",", ":")),
    }
    optional = {
        "NETWORK": settings.network,
        "ARTEMON_SERVICE": settings.service,
        "AUTO_REGISTER_GROUP": settings.workload_group,
        "ARTEMON_REGISTRY": settings.registry,
        "ARTEMON_WEIGHT": "" if settings.workload_group and settings.weight == 1 else str(settings.weight),
        "HTTP_PROXY_PORT": str(settings.http_proxy_port or ""),
        "ARTEMON_GATEWAY_BIND": settings.gateway_bind,
        "DNS_CAPTURE": "true" if settings.dns_listen else "",
        "ARTEMON_APP_ADDRESS": settings.app_address or ("" if settings.intercepts else LOOPBACK),
        **(_captured(settings) if settings.intercepts else {}),
    }
    return values | {key: value for key, value in optional.items() if value}


def _captured(settings: ProxydSettings) -> Json:
    """Where captured connections arrive."""
    return {
        "ARTEMON_OUTBOUND_PORT": str(settings.outbound_port),
        "ARTEMON_INBOUND_PORT": str(settings.inbound_port),
        "ARTEMON_IPV6": "true" if has_ipv6() else "",
    }


def trace_environment(settings: ProxydSettings, name: str) -> dict[str, str]:
    """Whose spans a collector gets (`service.name` of OpenTelemetry as Istio's `APP_LABEL_AND_NAMESPACE`)."""
    workload = settings.workload or settings.service or name
    attributes = {
        "service.name": f"{canonical_name(workload, settings.labels)}.{settings.namespace}",
        "service.instance.id": f"{name}.{settings.namespace}",
        "service.version": settings.labels.get("version", ""),
        "artemon.workload": workload,
        "artemon.namespace": settings.namespace,
    }
    known = (f"{key}={quote(value, safe='')}" for key, value in attributes.items() if value)
    tags = {
        "canonical_service": canonical_name(workload, settings.labels),
        "canonical_revision": canonical_revision(settings.labels),
        "cluster_id": settings.cluster_id,
    }
    told = {TRACED[tag]: value for tag, value in tags.items() if value}
    return {"OTEL_RESOURCE_ATTRIBUTES": ",".join(known), **told}


def bootstrap(settings: ProxydSettings, name: str) -> Json:
    """The whole bootstrap: equal settings make equal text, which adoption relies on."""
    return {
        "node": node(settings, name),
        "admin": {"address": _socket(settings.loopback, settings.admin_port)},
        "dynamic_resources": {
            "ads_config": _grpc("xds-grpc", "DELTA_GRPC"),
            "cds_config": _ADS,
            "lds_config": _ADS,
        },
        "static_resources": {
            "clusters": [
                _local_grpc("xds-grpc"),
                _local_grpc("sds-grpc"),
                _static("prometheus_stats", settings.loopback, settings.admin_port),
            ],
            "listeners": [
                _probe(settings.bind, settings.stats_port, "/stats/prometheus", "/stats/prometheus"),
                _probe(settings.bind, settings.ready_port, "/healthz/ready", "/ready"),
            ],
        },
        "stats_eviction_interval": EVICTION,
        "stats_config": {"use_all_default_tags": False, "stats_tags": _STATS_TAGS},
        "layered_runtime": {"layers": _LAYERS},
        "overload_manager": {"resource_monitors": [_CONNECTIONS]},
        **(_resolver(settings) if settings.dns_hold and settings.dns_listen else {}),
    }


def _resolver(settings: ProxydSettings) -> Json:
    """Envoy asks proxyd, which holds last good answers, and the machine's resolvers while proxyd is away."""
    own = split_address(settings.dns_listen)
    asked = [own, *resolvers(settings.dns_upstream, own)]
    addresses = [
        {"socket_address": {"address": host, "port_value": port, "protocol": "UDP"}} for host, port in asked
    ]
    config = {
        "@type": f"{_TYPES}.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
        "resolvers": addresses,
    }
    return {"typed_dns_resolver_config": {"name": "envoy.network.dns_resolver.cares", "typed_config": config}}


LOCAL_CLUSTER = "local_cluster"


def with_local_cluster(bootstrap: Json, endpoints: str) -> Json:
    """The bootstrap with the instances of the workload's own service, which Envoy compares with others where
    zones count. It does not wait for them long: without them zones just do not count yet."""
    cluster = {
        "name": LOCAL_CLUSTER,
        "type": "EDS",
        "connect_timeout": "1s",
        "eds_cluster_config": {
            "eds_config": {**_ADS, "initial_fetch_timeout": "5s"},
            "service_name": endpoints,
        },
    }
    static = bootstrap["static_resources"]
    return {
        **bootstrap,
        "static_resources": {**static, "clusters": [*static["clusters"], cluster]},
        "cluster_manager": {"local_cluster_name": LOCAL_CLUSTER},
    }


_LAYERS: list[Json] = [
    {"name": "defaults", "static_layer": {"re2.max_program_size.error_level": REGEX_PROGRAM_SIZE}},
    {"name": "admin", "admin_layer": {}},
]

_CONNECTIONS: Json = {
    "name": "envoy.resource_monitors.global_downstream_max_connections",
    "typed_config": {
        "@type": f"{_TYPES}.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        "max_active_downstream_connections": MAX_CONNECTIONS,
    },
}

_ADS: Json = {"ads": {}, "initial_fetch_timeout": NEVER, "resource_api_version": "V3"}

_STATS_TAGS = [
    {"tag_name": name, "regex": regex}
    for name, regex in (
        ("cluster_name", r"^cluster\.((.+?(\..+?\.svc\.[^.]+\.[^.]+)?)\.)"),
        ("tcp_prefix", r"^tcp\.((.*?)\.)\w+?$"),
        ("response_code", r"_rq(_(\d{3}))$"),
        ("response_code_class", r"_rq(_(\dxx))$"),
        (
            "http_conn_manager_listener_prefix",
            r"^listener(?=\.).*?\.http\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.)",
        ),
        ("http_conn_manager_prefix", r"^http\.(((outbound_([0-9]{1,3}\.{0,1}){4}_\d{0,5})|([^.]+))\.)"),
        ("listener_address", r"^listener\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.)"),
    )
]


def _locality(text: str) -> Json:
    return dict(zip(("region", "zone", "sub_zone"), text.split("/"), strict=False))


def _socket(address: str, port: int) -> Json:
    return {"socket_address": {"address": address, "port_value": port}}


def _grpc(cluster: str, api: str) -> Json:
    """How to ask `cluster`; back-off short, because proxyd is a neighbour and restarts in a second."""
    return {
        "api_type": api,
        "transport_api_version": "V3",
        "set_node_on_first_message_only": True,
        "grpc_services": [
            {
                "envoy_grpc": {
                    "cluster_name": cluster,
                    "retry_policy": {"retry_back_off": {"base_interval": "0.1s", "max_interval": "1s"}},
                }
            }
        ],
    }


def _cluster(name: str, address: Json) -> Json:
    endpoint = {"endpoint": {"address": address}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _static(name: str, address: str, port: int) -> Json:
    return _cluster(name, _socket(address, port))


def _local_grpc(name: str) -> Json:
    """A cluster that is proxyd itself, over its Unix socket. Many streams: one per kind of secret."""
    limits = {"max_connections": 100_000, "max_pending_requests": 100_000, "max_requests": 100_000}
    http2: Json = {"explicit_http_config": {"http2_protocol_options": {}}}
    return _cluster(name, {"pipe": {"path": XDS_SOCKET}}) | {
        "circuit_breakers": {"thresholds": [{"priority": p, **limits} for p in ("DEFAULT", "HIGH")]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{_TYPES}.upstreams.http.v3.HttpProtocolOptions",
                **http2,
            }
        },
    }


def _probe(address: str, port: int, path: str, admin_path: str) -> Json:
    """A listener that shows exactly one path of the admin and nothing else."""
    route = {
        "match": {"path": path},
        "route": {"cluster": "prometheus_stats", "prefix_rewrite": admin_path},
    }
    manager = {
        "@type": f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "agent",
        "route_config": {
            "name": f"{address}_{port}",
            "virtual_hosts": [{"name": "backend", "domains": ["*"], "routes": [route]}],
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPES}.filters.http.router.v3.Router"},
            }
        ],
    }
    network_filter = {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
    return {
        "name": f"{address}_{port}",
        "address": _socket(address, port),
        "ignore_global_conn_limit": True,
        "filter_chains": [{"filters": [network_filter]}],
    }
