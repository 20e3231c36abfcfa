"""Sidecar: the fields of Istio's v1 schema."""

from __future__ import annotations

from typing import Literal

from artemon.model.destination_rule import ConnectionPoolSettings
from artemon.model.gateway import ServerTLSSettings
from artemon.model.message import Message, Seq, Uint32
from artemon.model.selector import LabelsSelector
from artemon.model.virtual_service import Destination


class SidecarPort(Message):
    """`SidecarPort` of Istio's Sidecar."""

    number: Uint32 = 0
    protocol: str = ""
    name: str = ""
    target_port: Uint32 = 0


class IstioEgressListener(Message):
    """`IstioEgressListener` of Istio's Sidecar."""

    port: SidecarPort | None = None
    bind: str = ""
    capture_mode: Literal["DEFAULT", "IPTABLES", "NONE"] = "DEFAULT"
    hosts: Seq[str] = ()


class IstioIngressListener(Message):
    """`IstioIngressListener` of Istio's Sidecar."""

    port: SidecarPort | None = None
    bind: str = ""
    capture_mode: Literal["DEFAULT", "IPTABLES", "NONE"] = "DEFAULT"
    default_endpoint: str = ""
    tls: ServerTLSSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None


class OutboundTrafficPolicy(Message):
    """`OutboundTrafficPolicy` of Istio's Sidecar."""

    mode: Literal["REGISTRY_ONLY", "ALLOW_ANY"] = "REGISTRY_ONLY"
    egress_proxy: Destination | None = None


class Sidecar(Message):
    """The spec of a Sidecar."""

    workload_selector: LabelsSelector | None = None
    ingress: Seq[IstioIngressListener] = ()
    egress: Seq[IstioEgressListener] = ()
    inbound_connection_pool: ConnectionPoolSettings | None = None
    outbound_traffic_policy: OutboundTrafficPolicy | None = None
