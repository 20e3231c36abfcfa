"""Sidecar: the fields of Istio's v1 schema."""

from __future__ import annotations

from typing import ClassVar, Literal

from artemon.model.destination_rule import ConnectionPoolSettings
from artemon.model.gateway import ServerTLSSettings
from artemon.model.message import Message, Seq, Uint32
from artemon.model.selector import LabelsSelector
from artemon.model.virtual_service import Destination


class SidecarPort(Message):
    """A port of a listener; number 0 only with a Unix socket."""

    number: Uint32 = 0
    protocol: str = ""
    name: str = ""
    target_port: Uint32 = 0


class IstioEgressListener(Message):
    """Which hosts a workload may reach, by this port or by all others."""

    required: ClassVar[tuple[str, ...]] = ("hosts",)

    port: SidecarPort | None = None
    bind: str = ""
    capture_mode: Literal["DEFAULT", "IPTABLES", "NONE"] = "DEFAULT"
    hosts: Seq[str] = ()


class IstioIngressListener(Message):
    """A port on which the workload takes requests, and where its application listens."""

    required: ClassVar[tuple[str, ...]] = ("port",)

    port: SidecarPort | None = None
    bind: str = ""
    capture_mode: Literal["DEFAULT", "IPTABLES", "NONE"] = "DEFAULT"
    default_endpoint: str = ""
    tls: ServerTLSSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None


class OutboundTrafficPolicy(Message):
    """What happens to calls of unknown hosts."""

    mode: Literal["REGISTRY_ONLY", "ALLOW_ANY"] = "REGISTRY_ONLY"
    egress_proxy: Destination | None = None


class Sidecar(Message):
    """What the proxies of a workload, a namespace or the mesh get to know."""

    workload_selector: LabelsSelector | None = None
    ingress: Seq[IstioIngressListener] = ()
    egress: Seq[IstioEgressListener] = ()
    inbound_connection_pool: ConnectionPoolSettings | None = None
    outbound_traffic_policy: OutboundTrafficPolicy | None = None
