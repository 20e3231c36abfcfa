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
from artemon.registry.kubernetes_objects import Fields, Objects, labels, name, namespace, notes, sort_objects
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
    for (space, pod_name), pod in sorted(found.pods.items()):
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


def to_source(one: Fields, found: Objects, mesh: MeshConfig, *, domain: str) -> Source:
    """One Service with its instances among `found`."""
    service = to_service(one, mesh, domain=domain)
    external = service.resolution is Resolution.DNS
    return Source(
        id=service.source,
        namespace=service.namespace,
        services=(service,),
        rank=ENTRIES,
        selector=None if external else one["spec"].get("selector") or None,
        inline=(_elsewhere(one),) if external else tuple(instances(one, found)),
        selects_pods=False,
    )


def _elsewhere(one: Fields) -> Endpoint:
    """The name that an ExternalName service stands for."""
    ports = {port.get("name") or "": port["port"] for port in one["spec"].get("ports") or ()}
    return Endpoint(
        address=str(one["spec"]["externalName"]).rstrip("."), namespace=namespace(one), ports=ports
    )


def to_service(one: Fields, mesh: MeshConfig, *, domain: str) -> Service:
    """One Service. Without a cluster address, clients pick the instance themselves."""
    spec, space = one["spec"], namespace(one)
    addresses = [spec.get("clusterIP") or "", *(spec.get("clusterIPs") or ())]
    external = spec.get("type") == "ExternalName" and bool(spec.get("externalName"))
    resolution = Resolution.NONE if HEADLESS in addresses else Resolution.STATIC
    written = notes(one).get(EXPORT_ANNOTATION, "")
    export = [each.strip() for each in written.split(",") if each.strip()] or mesh.default_service_export_to
    ports = [to_port(port) for port in spec.get("ports") or ()]
    return Service(
        host=service_host(name(one), space, domain),
        namespace=space,
        ports=tuple(sorted(ports, key=lambda port: port.protocol is Protocol.UDP)),
        resolution=Resolution.DNS if external else resolution,
        addresses=() if external else tuple(dict.fromkeys(a for a in addresses if a and a != HEADLESS)),
        mesh_external=external,
        export_to=tuple(space if each == "." else each for each in export or ("*",)),
        labels=labels(one),
        created=str(one["metadata"].get("creationTimestamp") or ""),
        source=f"Service/{space}/{name(one)}",
    )


def to_port(port: Fields) -> Port:
    """One port of a Service. Where its target is a name, only instances know the number."""
    target = port.get("targetPort")
    return Port(
        number=port["port"],
        name=port.get("name") or "",
        protocol=protocol_of(port),
        target_port=target if isinstance(target, int) else 0,
    )


def protocol_of(port: Fields) -> Protocol:
    """What a service port speaks: `appProtocol` where it is written, else the port's name, each up to the
    first `-`; nothing that is known there is found out by Envoy."""
    if (port.get("protocol") or "TCP") != "TCP":
        return Protocol.UDP
    said = str(port.get("appProtocol") or port.get("name") or "").lower()
    said = _STANDARD.get(said, said)
    word = "grpc-web" if said.startswith("grpc-web") else said.partition("-")[0]
    try:
        found = Protocol.parse(word)
    except ValueError:
        found = Protocol.AUTO
    return Protocol.TCP if found is Protocol.AUTO and port.get("port") in _SERVER_FIRST else found
