"""What one proxy may see: the only argument that translators get."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from artemon.model.destination_rule import DestinationRule, Subset, TrafficPolicy
from artemon.model.gateway import Gateway
from artemon.model.mesh_config import MeshConfig
from artemon.model.proxy import Proxy
from artemon.model.resource import Resource
from artemon.model.service import Endpoint, Service
from artemon.model.sidecar import Sidecar
from artemon.model.virtual_service import VirtualService


@dataclass(frozen=True, slots=True)
class MtlsMode:
    """The effective server modes of a workload (PeerAuthentication): STRICT, PERMISSIVE or DISABLE.

    ports: workload (target) port -> mode, where it differs from `default`.
    """

    default: str = "PERMISSIVE"
    ports: Mapping[int, str] = ()  # type: ignore[assignment]

    def of(self, port: int) -> str:
        """The mode of one workload port."""
        return dict(self.ports).get(port, self.default)


@dataclass(frozen=True, slots=True)
class Destination:
    """The DestinationRules that apply to one host for one client, merged (subsets united, first policy wins)."""

    host: str
    policy: TrafficPolicy | None
    subsets: tuple[Subset, ...]
    rules: tuple[Resource[DestinationRule], ...]

    def policy_for(self, port: int, subset: str = "") -> TrafficPolicy:
        """The policy in force for a port and subset: subset over rule per block, port level replaces."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class ProxyView:
    """The mesh as one proxy may see it. Complete: nothing is filled in later, empty means none.

    services: visible ones, by host name, in host order (scope of the Sidecar in force, exportTo).
    endpoints: instances by host, in a stable order. virtual_services: visible, oldest first, delegates inlined.
    gateways: those whose selector matches this proxy (routers only). own: the services that this proxy's
    workload serves, with its ports. sidecar: the Sidecar resource in force, if any.
    inbound_mtls: this workload's mode. Server modes of others are already in `Endpoint.mtls`.
    """

    proxy: Proxy
    mesh: MeshConfig
    services: Mapping[str, Service]
    endpoints: Mapping[str, tuple[Endpoint, ...]]
    virtual_services: Sequence[Resource[VirtualService]]
    gateways: Sequence[Resource[Gateway]]
    destinations: Mapping[str, Destination]
    own: tuple[Service, ...]
    sidecar: Resource[Sidecar] | None
    inbound_mtls: MtlsMode
    trust_domain: str
