"""Services and their instances, whatever registry they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from artemon.model.egress import Egress

EMPTY: Mapping[str, str] = MappingProxyType({})


class Protocol(StrEnum):
    """What travels over a service port; AUTO is found out by sniffing."""

    AUTO = ""
    HTTP = "HTTP"
    HTTP2 = "HTTP2"
    GRPC = "GRPC"
    GRPC_WEB = "GRPC-WEB"
    HTTPS = "HTTPS"
    TLS = "TLS"
    TCP = "TCP"
    UDP = "UDP"
    MONGO = "MONGO"
    REDIS = "REDIS"
    MYSQL = "MYSQL"
    HTTP_PROXY = "HTTP_PROXY"

    @classmethod
    def parse(cls, text: str) -> Protocol:
        """The protocol named by `text` in any case. Raises ValueError when there is none."""
        return cls(text.upper().replace("_", "-") if text.lower() != "http_proxy" else "HTTP_PROXY")

    @property
    def is_http(self) -> bool:
        """Whether routes apply to it."""
        return self in _HTTP

    @property
    def is_http2(self) -> bool:
        """Whether upstream connections speak HTTP/2."""
        return self in {Protocol.HTTP2, Protocol.GRPC, Protocol.GRPC_WEB}

    @property
    def is_tcp(self) -> bool:
        """Whether it is forwarded as bytes, without looking for HTTP."""
        return not self.is_http and self not in {Protocol.AUTO, Protocol.UDP}


_HTTP = {Protocol.HTTP, Protocol.HTTP2, Protocol.GRPC, Protocol.GRPC_WEB, Protocol.HTTP_PROXY}


class Resolution(StrEnum):
    """How the proxy finds the instances of a service (ServiceEntry `resolution`)."""

    STATIC = "STATIC"
    DNS = "DNS"
    DNS_ROUND_ROBIN = "DNS_ROUND_ROBIN"
    DYNAMIC_DNS = "DYNAMIC_DNS"
    NONE = "NONE"


class Health(StrEnum):
    """What discovery knows of an instance; Envoy's own checks and ejections come on top."""

    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    DRAINING = "DRAINING"


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a service. number: what clients ask for; name: unique within the service."""

    number: int
    name: str
    protocol: Protocol = Protocol.AUTO
    target_port: int = 0
    """Where instances listen unless the instance says otherwise; 0 means `number`."""


@dataclass(frozen=True, slots=True)
class Service:
    """A host name with ports, as clients see it.

    namespace: who owns it. addresses: virtual addresses or CIDR blocks, may be empty.
    export_to: namespaces that may see it ("*" all, "." its own, "~" none).
    created: RFC 3339, decides conflicts (the older wins). source: the registry that knows it.
    egress: through which gateway it is reached, None for directly. asked_by_name: whether applications can
    ask for it; others stand behind what applications ask for.
    """

    host: str
    namespace: str
    ports: tuple[Port, ...]
    resolution: Resolution = Resolution.STATIC
    addresses: tuple[str, ...] = ()
    mesh_external: bool = False
    export_to: tuple[str, ...] = ("*",)
    subject_alt_names: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    created: str = ""
    source: str = ""
    egress: Egress | None = None
    asked_by_name: bool = True

    @property
    def names_instances(self) -> bool:
        """Whether names below the host are those of its instances: it is headless, in a cluster's DNS."""
        headless = self.resolution is Resolution.NONE and not self.addresses
        return headless and f".{self.namespace}.svc." in self.host and not self.host.startswith("*")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One instance of a service.

    address: IP, host name (resolution DNS) or `unix:///path`. ports: service port name -> number where it
    listens, 0 where it does not; a name that is absent falls back to the port's target port. weight: 1 or
    more (Envoy `load_balancing_weight`). locality: `region[/zone[/subzone]]`.
    mtls: whether a sidecar terminates mutual TLS there (Istio label `security.istio.io/tlsMode: istio`).
    mtls_exceptions: port numbers for which the opposite of `mtls` holds (PeerAuthentication port levels).
    service_account and namespace: its SPIFFE identity, with the mesh's trust domain.
    """

    address: str
    namespace: str
    ports: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    service_account: str = ""
    locality: str = ""
    network: str = ""
    weight: int = 1
    health: Health = Health.HEALTHY
    mtls: bool = False
    node: str = ""
    """The id of the proxy in front of it, when it joined."""
    mtls_exceptions: tuple[int, ...] = ()
    workload: str = ""
    """What it is an instance of, and in which cluster, as metrics call it; empty: not known."""
    cluster: str = ""

    def mtls_on(self, port: int) -> bool:
        """Whether mutual TLS is terminated where it listens on `port`."""
        return self.mtls != (port in self.mtls_exceptions)
