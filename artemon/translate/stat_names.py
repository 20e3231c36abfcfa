"""What clusters are called in statistics: MeshConfig `inboundClusterStatName`, `outboundClusterStatName`."""

from __future__ import annotations

import re

from artemon.model.service import Port, Service
from artemon.snapshot.view import ProxyView
from artemon.translate import names
from artemon.translate.ingress import Served

_VARIABLE = re.compile(r"%[A-Z_]+%")


def stat_name(pattern: str, service: Service, port: Port, subset: str = "") -> str:
    """The name that `pattern` gives, with the delimiter that Istio ends it by; "" for Envoy's own (the
    cluster's)."""
    return _filled(pattern, service, port, subset) + ";" if pattern else ""


def outbound_prefix(cluster: str, view: ProxyView) -> str:
    """What connections to a cluster are called in statistics of the TCP proxy: as the cluster is."""
    number, subset, host = names.cluster_parts(cluster)
    service, pattern = view.services.get(host), view.mesh.outbound_cluster_stat_name
    port = next((one for one in service.ports if one.number == number), None) if service else None
    if not pattern or service is None or port is None:
        return cluster
    return _filled(pattern, service, port, subset)


def inbound_prefix(cluster: str, served: Served | None, view: ProxyView) -> str:
    """The same of connections to the application."""
    pattern = view.mesh.inbound_cluster_stat_name
    service = next((one for one in view.own if served is not None and one.host == served.host), None)
    if not pattern or served is None or service is None:
        return cluster
    return _filled(pattern, service, inbound_port(served))


def inbound_port(served: Served) -> Port:
    """The port of the service that is behind an inbound cluster."""
    return Port(served.service_port, served.name, served.protocol, served.port)


def _filled(pattern: str, service: Service, port: Port, subset: str = "") -> str:
    """`pattern` with Istio's variables; what is no variable stays as it is."""
    short = service.host.partition(f".{service.namespace}.svc.")[0]
    is_ours = short != service.host
    values = {
        "%SERVICE%": f"{short}.{service.namespace}" if is_ours else service.host,
        "%SERVICE_NAME%": short,
        "%SERVICE_FQDN%": service.host,
        "%SERVICE_PORT%": str(port.number),
        "%SERVICE_PORT_NAME%": port.name,
        "%TARGET_PORT%": str(port.target_port or port.number),
        "%SUBSET_NAME%": subset,
    }
    return _VARIABLE.sub(lambda found: values.get(found[0], found[0]), pattern)
