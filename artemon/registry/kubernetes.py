"""Kubernetes objects as services and instances: pure conversion, from whatever source they come.

Source of the rules: Kubernetes `v1` Service, Endpoints, Pod and `discovery.k8s.io/v1` EndpointSlice; port
protocols as Istio selects them (`appProtocol`, else the name's prefix, else sniffing).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from artemon.errors import Problem, Refused
from artemon.model.hosts import service_host
from artemon.model.mesh_config import MeshConfig
from artemon.model.selector import matches
from artemon.model.service import Endpoint, Health, Port, Protocol, Resolution, Service
from artemon.snapshot.services import ENTRIES, LOCALITY_LABEL, TLS_MODE_LABEL, Source

KINDS = frozenset({"Service", "EndpointSlice", "Endpoints", "Pod", "Namespace"})
SERVICE_NAME_LABEL = "kubernetes.io/service-name"
SIDECAR_ANNOTATION = "sidecar.istio.io/status"
EXPORT_ANNOTATION = "networking.istio.io/exportTo"
HEADLESS = "None"
_SERVER_FIRST = frozenset({25, 53, 3306, 27017})
"""Ports of protocols whose server speaks first: nothing can be sniffed there."""
_APP_PROTOCOLS = {"kubernetes.io/h2c": "http2", "kubernetes.io/ws": "http", "kubernetes.io/wss": "https"}

Fields = Mapping[str, Any]


@dataclass(slots=True)
class Objects:
    """Kubernetes objects by kind, pods by namespace and name."""

    services: list[Fields] = field(default_factory=list)
    slices: list[Fields] = field(default_factory=list)
    endpoints: list[Fields] = field(default_factory=list)
    pods: dict[tuple[str, str], Fields] = field(default_factory=dict)


def sort_objects(objects: Iterable[Fields]) -> Objects:
    """Every object of KINDS where it belongs; namespaces need nothing."""
    out = Objects()
    for one in objects:
        kind = one.get("kind")
        if kind == "Pod":
            out.pods[_namespace(one), _meta(one).get("name", "")] = one
        elif kind == "Service":
            out.services.append(one)
        elif kind == "EndpointSlice":
            out.slices.append(one)
        elif kind == "Endpoints":
            out.endpoints.append(one)
    return out


def sources(objects: Iterable[Fields], mesh: MeshConfig, domain: str) -> list[Source]:
    """What makes the services of Kubernetes objects exist, with their instances. Raises Refused with every
    service that lacks what Kubernetes requires, in itself or in the objects that list its instances."""
    found = sort_objects(objects)
    made: list[Source] = []
    problems: list[Problem] = []
    for one in found.services:
        try:
            made.append(_source(one, found, mesh, domain=domain))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            place = f"Service/{_namespace(one)}/{_meta(one).get('name', '?')}"
            problems.append(Problem(place, _shape(error)))
    if problems:
        raise Refused(problems)
    return made


def _shape(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f'it, its EndpointSlice, Endpoints or Pod lacks the field "{error.args[0]}"'
    return f"it, its EndpointSlice, Endpoints or Pod has a field of the wrong type ({error})"


def _source(one: Fields, objects: Objects, mesh: MeshConfig, *, domain: str) -> Source:
    service = to_service(one, mesh, domain=domain)
    meta, spec = _meta(one), one.get("spec") or {}
    if spec.get("type") == "ExternalName":
        instances = [Endpoint(address=spec.get("externalName", ""), namespace=service.namespace)]
    else:
        instances = list(_from_slices(one, objects)) or list(_from_endpoints(one, objects))
        instances = instances or list(_from_pods(one, objects))
    return Source(
        id=f"Service/{service.namespace}/{meta.get('name', '')}",
        namespace=service.namespace,
        services=(service,),
        rank=ENTRIES,
        inline=tuple(instances),
    )


def to_service(one: Fields, mesh: MeshConfig, *, domain: str) -> Service:
    """One Service. Without a cluster address, clients pick the instance themselves."""
    meta, spec, namespace = _meta(one), one.get("spec") or {}, _namespace(one)
    addresses = [spec.get("clusterIP", ""), *(spec.get("clusterIPs") or ())]
    external = spec.get("type") == "ExternalName"
    resolution = Resolution.NONE if HEADLESS in addresses else Resolution.STATIC
    written = (meta.get("annotations") or {}).get(EXPORT_ANNOTATION, "")
    export = [name.strip() for name in written.split(",") if name.strip()] or mesh.default_service_export_to
    return Service(
        host=service_host(meta.get("name", ""), namespace, domain),
        namespace=namespace,
        ports=tuple(_port(port) for port in spec.get("ports") or ()),
        resolution=Resolution.DNS if external else resolution,
        addresses=tuple(dict.fromkeys(a for a in addresses if a and a != HEADLESS)),
        mesh_external=external,
        export_to=tuple(namespace if name == "." else name for name in export or ("*",)),
        labels=meta.get("labels") or {},
        created=str(meta.get("creationTimestamp") or ""),
        source=f"Service/{namespace}/{meta.get('name', '')}",
    )


def _port(port: Fields) -> Port:
    target = port.get("targetPort")
    return Port(
        number=port["port"],
        name=port.get("name", ""),
        protocol=protocol_of(port),
        target_port=target if isinstance(target, int) else 0,
    )


def protocol_of(port: Fields) -> Protocol:
    """What a service port speaks: `appProtocol`, else the port's name up to the first `-`, else unknown."""
    if port.get("protocol", "TCP") != "TCP":
        return Protocol.UDP
    name = str(port.get("name") or "").lower()
    words = [str(port.get("appProtocol") or "").lower(), "grpc-web" if name.startswith("grpc-web") else ""]
    for word in (*words, name.partition("-")[0]):
        try:
            found = Protocol.parse(_APP_PROTOCOLS.get(word, word))
        except ValueError:
            continue
        if found is not Protocol.AUTO:
            return found
    return Protocol.TCP if port.get("port") in _SERVER_FIRST else Protocol.AUTO


def _from_slices(service: Fields, objects: Objects) -> Iterator[Endpoint]:
    for one in objects.slices:
        owner = (_meta(one).get("labels") or {}).get(SERVICE_NAME_LABEL)
        if owner != _meta(service).get("name") or _namespace(one) != _namespace(service):
            continue
        ports = _numbers(one.get("ports") or ())
        for endpoint in one.get("endpoints") or ():
            state = endpoint.get("conditions") or {}
            ready = state.get("ready", True) is not False
            for address in endpoint.get("addresses") or ():
                yield _instance(service, address, ports, pod=_pod(endpoint, service, objects), ready=ready,
                                zone=endpoint.get("zone", ""))  # fmt: skip


def _from_endpoints(service: Fields, objects: Objects) -> Iterator[Endpoint]:
    key = (_meta(service).get("name"), _namespace(service))
    for one in objects.endpoints:
        if (_meta(one).get("name"), _namespace(one)) != key:
            continue
        for subset in one.get("subsets") or ():
            ports = _numbers(subset.get("ports") or ())
            for name, ready in (("addresses", True), ("notReadyAddresses", False)):
                for address in subset.get(name) or ():
                    pod = _pod(address, service, objects)
                    yield _instance(service, address["ip"], ports, pod=pod, ready=ready)


def _from_pods(service: Fields, objects: Objects) -> Iterator[Endpoint]:
    """Where nothing lists the instances: the pods that the service selects."""
    selector = (service.get("spec") or {}).get("selector")
    for (namespace, _), pod in sorted(objects.pods.items()):
        address = (pod.get("status") or {}).get("podIP")
        if not selector or not address or namespace != _namespace(service):
            continue
        if matches(selector, _meta(pod).get("labels") or {}):
            yield _instance(service, address, _pod_ports(service, pod), pod=pod, ready=True)


def _pod_ports(service: Fields, pod: Fields) -> dict[str, int]:
    named = {
        port["name"]: port["containerPort"]
        for container in (pod.get("spec") or {}).get("containers") or ()
        for port in container.get("ports") or ()
        if "name" in port
    }
    found = {}
    for port in (service.get("spec") or {}).get("ports") or ():
        target = port.get("targetPort", port["port"])
        number = target if isinstance(target, int) else named.get(target, 0)
        found[port.get("name", "")] = number or port["port"]
    return found


def _numbers(ports: Sequence[Fields]) -> dict[str, int]:
    return {port.get("name") or "": port["port"] for port in ports if port.get("port")}


def _pod(entry: Fields, service: Fields, objects: Objects) -> Fields:
    """The pod that an address belongs to, {} when it is not known."""
    target = entry.get("targetRef") or {}
    if target.get("kind") != "Pod":
        return {}
    key = (target.get("namespace") or _namespace(service), target.get("name", ""))
    return objects.pods.get(key, {})


def _instance(
    service: Fields, address: str, ports: Mapping[str, int], *, pod: Fields, ready: bool, zone: str = ""
) -> Endpoint:
    labels = _meta(pod).get("labels") or {}
    injected = SIDECAR_ANNOTATION in (_meta(pod).get("annotations") or {})
    region = labels.get("topology.kubernetes.io/region", "")
    zone = zone or labels.get("topology.kubernetes.io/zone", "")
    return Endpoint(
        address=address,
        namespace=_namespace(service),
        ports=ports,
        labels=labels,
        service_account=(pod.get("spec") or {}).get("serviceAccountName") or ("default" if pod else ""),
        locality=labels.get(LOCALITY_LABEL, "").replace(".", "/") or "/".join(filter(None, (region, zone))),
        health=Health.HEALTHY if ready else Health.UNHEALTHY,
        mtls=labels.get(TLS_MODE_LABEL, "istio" if injected else "") == "istio",
    )


def _meta(one: Fields) -> Fields:
    meta = one.get("metadata")
    return meta if isinstance(meta, Mapping) else {}


def _namespace(one: Fields) -> str:
    return str(_meta(one).get("namespace") or "default")
