"""Small worlds of Envoy resources: one HTTP listener, its routes, one cluster with its endpoints."""

from __future__ import annotations

from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2  # noqa: F401 - known to the JSON parser
from envoy.extensions.filters.network.http_connection_manager.v3 import (  # noqa: F401
    http_connection_manager_pb2,
)
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2  # noqa: F401
from meshlet_net import proto

from artemon.xds.types import CLUSTER, ENDPOINTS, LISTENER, ROUTES

ADS = {"ads": {}, "resourceApiVersion": "V3"}
SDS = {
    "resourceApiVersion": "V3",
    "apiConfigSource": {
        "apiType": "GRPC",
        "transportApiVersion": "V3",
        "setNodeOnFirstMessageOnly": True,
        "grpcServices": [{"envoyGrpc": {"clusterName": "sds-grpc"}}],
    },
}
Item = tuple[str, str, Any]


def cluster(name: str, **more: Any) -> Item:
    fields = {"name": name, "type": "EDS", "edsClusterConfig": {"edsConfig": ADS}, **more}
    return CLUSTER, name, proto(cluster_pb2.Cluster, **fields)


def endpoints(name: str, port: int) -> Item:
    address = {"socketAddress": {"address": "127.0.0.1", "portValue": port}}
    lb = [{"lbEndpoints": [{"endpoint": {"address": address}}]}]
    return ENDPOINTS, name, proto(endpoint_pb2.ClusterLoadAssignment, clusterName=name, endpoints=lb)


def routes(name: str, to: str) -> Item:
    hosts = [
        {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": to}}]}
    ]
    return ROUTES, name, proto(route_pb2.RouteConfiguration, name=name, virtualHosts=hosts)


def listener(ip: str, port: int, route: str, *, tls: str = "") -> Item:
    name = f"{ip}_{port}"
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3"
        ".HttpConnectionManager",
        "statPrefix": "inbound_0.0.0.0_28080;",
        "rds": {"routeConfigName": route, "configSource": ADS},
        "httpFilters": [
            {
                "name": "envoy.filters.http.router",
                "typedConfig": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
                },
            }
        ],
    }
    chain: dict[str, Any] = {
        "filters": [{"name": "envoy.filters.network.http_connection_manager", "typedConfig": manager}]
    }
    if tls:
        chain["transportSocket"] = {"name": "envoy.transport_sockets.tls", "typedConfig": downstream_tls(tls)}
    address = {"socketAddress": {"address": ip, "portValue": port}}
    return LISTENER, name, proto(listener_pb2.Listener, name=name, address=address, filterChains=[chain])


def downstream_tls(secret: str) -> dict[str, Any]:
    kind = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
    common = {
        "tlsCertificateSdsSecretConfigs": [{"name": secret, "sdsConfig": SDS}],
        "validationContextSdsSecretConfig": {"name": "ROOTCA", "sdsConfig": SDS},
    }
    return {"@type": kind, "requireClientCertificate": True, "commonTlsContext": common}


def world(ip: str, port: int, *, tls: str = "") -> list[Item]:
    """Everything on `ip`:28080 goes to 127.0.0.1:`port`. tls: the secret to terminate mutual TLS with."""
    return [
        cluster("app"),
        endpoints("app", port),
        listener(ip, 28080, "http", tls=tls),
        routes("http", "app"),
    ]
