"""What is read of Kubernetes objects: others' fields cost memory and change often.

One decoding both checks and picks: a cluster has very many objects. Source: Kubernetes API reference, `v1`
and `discovery.k8s.io/v1`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta as Limits
from msgspec import Struct, field

from artemon.model.service import EMPTY

Key = tuple[str, str]
"""Namespace and name."""
Number = Annotated[int, Limits(ge=1, le=65535)]
Texts = Mapping[str, str]


class Shape(Struct, frozen=True, kw_only=True, gc=False, rename="camel"):
    """Some fields of an object. Compared by them; they form no cycles, so that none are searched for."""


class Owner(Shape, frozen=True):
    """What an object belongs to."""

    name: str = ""
    kind: str = ""
    api_version: str = ""
    controller: bool = False


class Meta(Shape, frozen=True):
    """`metadata`."""

    name: str
    namespace: str = ""
    generate_name: str = ""
    labels: Texts = EMPTY
    annotations: Texts = EMPTY
    creation_timestamp: str = ""
    deletion_timestamp: str = ""
    owner_references: tuple[Owner, ...] = ()


class Object(Shape, frozen=True):
    """What all have."""

    metadata: Meta

    @property
    def name(self) -> str:
        """Its name."""
        return self.metadata.name

    @property
    def namespace(self) -> str:
        """Its namespace; `default` where none is written."""
        return self.metadata.namespace or "default"

    @property
    def labels(self) -> Texts:
        """Its labels."""
        return self.metadata.labels

    @property
    def key(self) -> Key:
        """What it is known by among those of its kind."""
        return self.metadata.namespace or "default", self.metadata.name


class ServicePort(Shape, frozen=True):
    """A port of a Service."""

    port: Number
    name: str = ""
    protocol: str = ""
    app_protocol: str = ""
    target_port: int | str = 0


class ServiceSpec(Shape, frozen=True):
    """`spec` of a Service."""

    type: str = ""
    cluster_ip: str = field(name="clusterIP", default="")
    cluster_ips: tuple[str, ...] = field(name="clusterIPs", default=())
    external_name: str = ""
    selector: Texts = EMPTY
    publish_not_ready_addresses: bool = False
    ports: tuple[ServicePort, ...] = ()


class Service(Object, frozen=True):
    """A Service."""

    spec: ServiceSpec


class ListedPort(Shape, frozen=True):
    """A port of an EndpointSlice or of Endpoints."""

    port: Number = 0
    name: str = ""
    protocol: str = ""
    app_protocol: str = ""


class Target(Shape, frozen=True):
    """The object that an address is of."""

    kind: str = "Pod"
    name: str = ""
    namespace: str = ""


NOBODY = Target()


class Conditions(Shape, frozen=True):
    """Of an endpoint of a slice. ready: unless it says otherwise."""

    ready: bool = True
    serving: bool = False
    terminating: bool = False


class ListedEndpoint(Shape, frozen=True):
    """An endpoint of a slice."""

    addresses: tuple[str, ...] = ()
    conditions: Conditions = Conditions()
    target_ref: Target = NOBODY
    zone: str = ""
    node_name: str = ""


class EndpointSlice(Object, frozen=True):
    """An EndpointSlice."""

    address_type: str = ""
    ports: tuple[ListedPort, ...] = ()
    endpoints: tuple[ListedEndpoint, ...] = ()


class Address(Shape, frozen=True):
    """An address of Endpoints."""

    ip: str
    target_ref: Target = NOBODY


class Subset(Shape, frozen=True):
    """A subset of Endpoints."""

    addresses: tuple[Address, ...] = ()
    not_ready_addresses: tuple[Address, ...] = ()
    ports: tuple[ListedPort, ...] = ()


class Endpoints(Object, frozen=True):
    """Endpoints."""

    subsets: tuple[Subset, ...] = ()


class ContainerPort(Shape, frozen=True):
    """A port of a container."""

    container_port: Number
    name: str = ""
    protocol: str = ""


class Container(Shape, frozen=True):
    """A container of a pod."""

    ports: tuple[ContainerPort, ...] = ()


class PodSpec(Shape, frozen=True):
    """`spec` of a Pod."""

    service_account_name: str = ""
    node_name: str = ""
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()


class PodIP(Shape, frozen=True):
    """One of a pod's addresses."""

    ip: str = ""


class PodCondition(Shape, frozen=True):
    """One condition of a pod."""

    type: str = ""
    status: str = ""


class PodStatus(Shape, frozen=True):
    """`status` of a Pod."""

    pod_ip: str = field(name="podIP", default="")
    pod_ips: tuple[PodIP, ...] = field(name="podIPs", default=())
    phase: str = ""
    conditions: tuple[PodCondition, ...] = ()


class Pod(Object, frozen=True):
    """A Pod."""

    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def addresses(self) -> tuple[str, ...]:
        """Every address, the first one first."""
        status = self.status
        if len(status.pod_ips) == 1 and status.pod_ips[0].ip == status.pod_ip:
            return (status.pod_ip,) if status.pod_ip else ()
        listed = (status.pod_ip, *(each.ip for each in status.pod_ips))
        return tuple(dict.fromkeys(address for address in listed if address))


class _Everywhere(Object, frozen=True):
    """An object that has no namespace."""

    @property
    def key(self) -> Key:
        """The namespace is empty."""
        return "", self.metadata.name


class Node(_Everywhere, frozen=True):
    """A Node."""


class Namespace(_Everywhere, frozen=True):
    """A Namespace."""


SHAPES: Mapping[str, type[Object]] = {
    "Service": Service,
    "EndpointSlice": EndpointSlice,
    "Endpoints": Endpoints,
    "Pod": Pod,
    "Namespace": Namespace,
    "Node": Node,
}
