"""One proxy as the control plane sees it: who it is and what it asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from artemon.model.service import Protocol

GRPC = "grpc"
"""The `generator` of proxyless gRPC."""


class ProxyType(StrEnum):
    """The first part of a node id (Istio): sidecars serve one workload, routers are gateways."""

    SIDECAR = "sidecar"
    ROUTER = "router"


@dataclass(frozen=True, slots=True)
class WorkloadPort:
    """A port that the workload behind a proxy serves.

    number: the service's port. listen_port: where the proxy listens on the instance's address (the target
    port of the service). app_port: where the application listens. Without interception they differ.
    """

    number: int
    name: str
    protocol: Protocol
    listen_port: int
    app_port: int


@dataclass(frozen=True, slots=True)
class Proxy:
    """A connected proxy (Istio node id and metadata, `istio-semantics` 2.18).

    id: `<type>~<ip>~<name>.<namespace>~<namespace>.svc.<domain>`. service: the service that it registered
    (empty: none). intercepts: whether traffic reaches it by interception (INTERCEPTION_MODE is not NONE);
    without it, listeners bind to the instance's own address. app_address: where the application listens; with
    interception, empty is where the client wanted to go. http_proxy_port: 0 means none asked for here.
    ipv6: whether captured traffic may be IPv6. outbound_port, inbound_port: where captured traffic arrives;
    0 is where the mesh says. group: the WorkloadGroup that it registers by (AUTO_REGISTER_GROUP); entry: the
    WorkloadEntry that it is then, with `entry_annotations`. weight: 0 is not said. registry: the other
    one that knows it.
    """

    id: str
    type: ProxyType
    name: str
    namespace: str
    service_account: str = "default"
    ip_addresses: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    service: str = ""
    ports: tuple[WorkloadPort, ...] = ()
    app_address: str = "127.0.0.1"
    intercepts: bool = True
    http_proxy_port: int = 0
    gateway_bind: str = ""
    """Where a gateway listens when its Gateway names no `bind`; empty: on every address."""
    locality: str = ""
    network: str = ""
    ipv6: bool = False
    outbound_port: int = 0
    inbound_port: int = 0
    weight: int = 0
    group: str = ""
    registry: str = ""
    entry: str = ""
    entry_annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def generator(self) -> str:
        """The kind of client (metadata GENERATOR): `grpc` is proxyless gRPC, "" is Envoy."""
        return str(self.metadata.get("GENERATOR") or "")

    @property
    def captures_dns(self) -> bool:
        """Whether its agent answers DNS queries for names of the mesh (metadata DNS_CAPTURE)."""
        return str(self.metadata.get("DNS_CAPTURE") or "").lower() == "true"

    @property
    def keeps_source(self) -> bool:
        """Whether the application sees the addresses of its peers (metadata INTERCEPTION_MODE)."""
        return self.intercepts and str(self.metadata.get("INTERCEPTION_MODE") or "") == "TPROXY"

    @property
    def dns_domain(self) -> str:
        """`<namespace>.svc.<domain>`, which short host names are relative to."""
        return self.id.rsplit("~", 1)[-1]
