"""Kubernetes objects as services: pure conversion, from whatever source they come.

Source of the rules: Kubernetes `v1` Service, Endpoints, Pod and `discovery.k8s.io/v1` EndpointSlice; port
protocols as Istio selects them (`appProtocol`, else the name's prefix, else sniffing).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from artemon.model.hosts import service_host
from artemon.model.mesh_config import MeshConfig
from artemon.model.service import Endpoint, Port, Protocol, Resolution, Service
from artemon.model.workload import NO_SERVICE, Workload
from artemon.registry.kubernetes_instances import instance_of, instances
from artemon.registry.kubernetes_objects import Objects, sort_objects
from artemon.registry.kubernetes_read import Fields
from artemon.registry.kubernetes_shapes import Service as KubernetesService
from artemon.registry.kubernetes_shapes import ServicePort
from artemon.snapshot.services import ENTRIES, Source

KINDS = frozenset({"Service", "EndpointSlice", "Endpoints", "Pod", "Namespace"})
EXPORT_ANNOTATION = "networking.istio.io/exportTo"
HEADLESS = "None"
_SERVER_FIRST = frozenset({25, 53, 3306, 27017})
"""Ports of protocols whose server speaks first: nothing can be sniffed there."""
_STANDARD = {"kubernetes.io/h2c": "http2", "kubernetes.io/ws": "http", "kubernetes.io/wss": "https"}
"""Kubernetes' own names in `appProtocol`."""


def sources(objects: Iterable[Fields], mesh: MeshConfig, domain: str) -> list[Source]:
    """What makes the services of Kubernetes objects exist, with their instances. Raises Refused with every
    field that has not the shape of its kind."""
    found = sort_objects(objects)
    return [to_source(one, found, mesh, domain=domain) for one in found.services]


def workloads(objects: Iterable[Fields]) -> Iterator[tuple[str, Workload]]:
    """The pods as what ServiceEntries can select, by key. Raises Refused as `sources`."""
    found = sort_objects(objects)
    for (space, pod_name), pod in sorted(found.pods.items(), key=lambda item: item[0]):
        if (endpoint := instance_of(pod, found)) is not None:
            made = Workload(
                node="",
                namespace=space,
                service="",
                address=endpoint.address,
                labels=endpoint.labels,
                service_account=endpoint.service_account,
                locality=endpoint.locality,
                health=endpoint.health,
                mtls=endpoint.mtls,
                name=endpoint.workload,
                cluster=endpoint.cluster,
                is_pod=True,
            )
            yield f"workloads/{space}/{NO_SERVICE}/{pod_name}", made


def to_source(
    one: KubernetesService,
    found: Objects,
    mesh: MeshConfig,
    *,
    domain: str,
    ident: str = "",
    rank: int = ENTRIES,
    created: str = "",
) -> Source:
    """One Service with its instances among `found`. ident, rank, created: those that it has otherwise than
    the Service says."""
    service = to_service(one, mesh, domain=domain, ident=ident, created=created)
    external = service.resolution is Resolution.DNS
    return Source(
        id=service.source,
        namespace=service.namespace,
        services=(service,),
        rank=rank,
        selector=None if external else one.spec.selector or None,
        inline=(_elsewhere(one),) if external else tuple(instances(one, found)),
        selects_pods=False,
    )


def _elsewhere(one: KubernetesService) -> Endpoint:
    """The name that an ExternalName service stands for."""
    ports = {port.name: port.port for port in one.spec.ports}
    return Endpoint(address=one.spec.external_name.rstrip("."), namespace=one.namespace, ports=ports)


def to_service(
    one: KubernetesService, mesh: MeshConfig, *, domain: str, ident: str = "", created: str = ""
) -> Service:
    """One Service. Without a cluster address, clients pick the instance themselves."""
    spec, space = one.spec, one.namespace
    addresses = [spec.cluster_ip, *spec.cluster_ips]
    external = spec.type == "ExternalName" and bool(spec.external_name)
    resolution = Resolution.NONE if HEADLESS in addresses else Resolution.STATIC
    written = one.metadata.annotations.get(EXPORT_ANNOTATION, "")
    export = [each.strip() for each in written.split(",") if each.strip()] or mesh.default_service_export_to
    return Service(
        host=service_host(one.name, space, domain),
        namespace=space,
        ports=tuple(sorted(map(to_port, spec.ports), key=lambda port: port.protocol is Protocol.UDP)),
        resolution=Resolution.DNS if external else resolution,
        addresses=() if external else tuple(dict.fromkeys(a for a in addresses if a and a != HEADLESS)),
        mesh_external=external,
        export_to=tuple(space if each == "." else each for each in export or ("*",)),
        labels=one.labels,
        created=created or one.metadata.creation_timestamp,
        source=ident or f"Service/{space}/{one.name}",
    )


def to_port(port: ServicePort) -> Port:
    """One port of a Service. Where its target is a name, only instances know the number."""
    target = port.target_port
    return Port(
        number=port.port,
        name=port.name,
        protocol=protocol_of(port),
        target_port=target if isinstance(target, int) else 0,
    )


def protocol_of(port: ServicePort) -> Protocol:
    """What a service port speaks: `appProtocol` where it is written, else the port's name, each up to the
    first `-`; nothing that is known there is found out by Envoy."""
    if (port.protocol or "TCP") != "TCP":
        return Protocol.UDP
    said = (port.app_protocol or port.name).lower()
    said = _STANDARD.get(said, said)
    word = "grpc-web" if said.startswith("grpc-web") else said.partition("-")[0]
    try:
        found = Protocol.parse(word)
    except ValueError:
        found = Protocol.AUTO
    return Protocol.TCP if found is Protocol.AUTO and port.port in _SERVER_FIRST else found
