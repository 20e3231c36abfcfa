"""Instances of a Kubernetes Service: by its EndpointSlices, its Endpoints, or the pods that it selects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from msgspec import to_builtins

from artemon.inject.owner import owner_of_pod
from artemon.model.selector import matches
from artemon.model.service import EMPTY, Endpoint, Health
from artemon.registry.kubernetes_objects import Objects
from artemon.registry.kubernetes_shapes import (
    NOBODY,
    Conditions,
    ListedPort,
    Meta,
    Object,
    Pod,
    Service,
    Target,
)
from artemon.snapshot.services import LOCALITY_LABEL, TLS_MODE_LABEL

SIDECAR_ANNOTATION = "sidecar.istio.io/status"
REGION_LABEL = "topology.kubernetes.io/region"
ZONE_LABEL = "topology.kubernetes.io/zone"
SUBZONE_LABEL = "topology.istio.io/subzone"
_OVER = frozenset({"Succeeded", "Failed"})
NOT_SERVED = 0
WORKLOAD_NAME = "service.istio.io/workload-name"
CLUSTER = "Kubernetes"
"""What Istio calls a cluster that has no name."""


def instances(service: Service, objects: Objects) -> Iterator[Endpoint]:
    """The instances, each address once with all the ports that it is listed with."""
    if service.key in objects.slices:
        found = _from_slices(service, objects)
    elif service.key in objects.endpoints:
        found = _from_endpoints(service, objects)
    else:
        found = _from_pods(service, objects)
    by_address: dict[str, Endpoint] = {}
    for one in found:
        known = by_address.get(one.address)
        by_address[one.address] = one if known is None else _united(known, one)
    usable = service.spec.publish_not_ready_addresses
    for one in by_address.values():
        yield replace(one, health=Health.HEALTHY) if usable else one


def _united(one: Endpoint, other: Endpoint) -> Endpoint:
    """The same address listed twice: it serves what either list says, and is as well as the better one."""
    ports = {
        port: one.ports.get(port) or other.ports.get(port, NOT_SERVED)
        for port in {**one.ports, **other.ports}
    }
    healthy = Health.HEALTHY in (one.health, other.health)
    return replace(one, ports=ports, health=Health.HEALTHY if healthy else one.health)


def _from_slices(service: Service, objects: Objects) -> Iterator[Endpoint]:
    for one in objects.slices[service.key]:
        if one.address_type == "FQDN":
            continue
        ports = _listed_ports(service, one.ports)
        for each in one.endpoints:
            health = _condition(each.conditions)
            for address in each.addresses:
                pod = _pod(each.target_ref, address, service, objects)
                place = _place(objects, pod, each.node_name, each.zone)
                yield _instance(service, address, ports, pod=pod, health=health, place=place)


def _condition(state: Conditions) -> Health:
    """Ready unless it says otherwise; one that ends but still serves keeps the requests it has."""
    if state.ready:
        return Health.HEALTHY
    return Health.DRAINING if state.terminating and state.serving else Health.UNHEALTHY


def _from_endpoints(service: Service, objects: Objects) -> Iterator[Endpoint]:
    for subset in objects.endpoints[service.key].subsets:
        ports = _listed_ports(service, subset.ports)
        lists = ((subset.addresses, Health.HEALTHY), (subset.not_ready_addresses, Health.UNHEALTHY))
        for listed, health in lists:
            for each in listed:
                pod = _pod(each.target_ref, each.ip, service, objects)
                place = _place(objects, pod)
                yield _instance(service, each.ip, ports, pod=pod, health=health, place=place)


def _from_pods(service: Service, objects: Objects) -> Iterator[Endpoint]:
    """Where nothing lists the instances: the pods that the service selects."""
    selector = service.spec.selector
    if not selector:
        return
    for (space, _), pod in sorted(objects.pods.items(), key=lambda item: item[0]):
        if space != service.namespace or pod.status.phase in _OVER or not matches(selector, pod.labels):
            continue
        for address in pod.addresses[:1]:
            ports, place = _pod_ports(service, pod), _place(objects, pod)
            yield _instance(service, address, ports, pod=pod, health=_readiness(pod), place=place)


def instance_of(pod: Pod, objects: Objects) -> Endpoint | None:
    """A pod alone, without ports; None when it has no address or has ended."""
    addresses = pod.addresses
    if not addresses or pod.status.phase in _OVER:
        return None
    place, health = _place(objects, pod), _readiness(pod)
    return _instance(pod, addresses[0], {}, pod=pod, health=health, place=place)


def _readiness(pod: Pod) -> Health:
    unready = any(one.type == "Ready" and one.status != "True" for one in pod.status.conditions)
    if pod.metadata.deletion_timestamp:
        return Health.DRAINING
    return Health.UNHEALTHY if unready else Health.HEALTHY


def _pod_ports(service: Service, pod: Pod) -> dict[str, int]:
    """Where a pod serves each port of a service: at the number it targets, or the container port it names."""
    named = {
        (port.name, port.protocol or "TCP"): port.container_port
        for container in (*pod.spec.init_containers, *pod.spec.containers)
        for port in container.ports
        if port.name
    }
    found = {}
    for port in service.spec.ports:
        target = port.target_port or port.port
        found[port.name] = (
            target if isinstance(target, int) else named.get((target, port.protocol or "TCP"), NOT_SERVED)
        )
    return found


def _listed_ports(service: Service, listed: Iterable[ListedPort]) -> dict[str, int]:
    """The numbers of a list by name; ports of the service that a list leaves out are not served there."""
    numbers = {port.name: port.port for port in listed if port.port}
    if not numbers:
        return {}
    return {port.name: numbers.get(port.name, NOT_SERVED) for port in service.spec.ports}


def _pod(target: Target, address: str, service: Service, objects: Objects) -> Pod | None:
    """The pod that an address belongs to, None when it is not known."""
    if target is not NOBODY and target.kind == "Pod" and target.name:
        found = objects.pods.get((target.namespace or service.namespace, target.name))
        if found is not None:
            return found
    found = objects.addresses.get(address)
    return found if found is not None and found.namespace == service.namespace else None


def _place(objects: Objects, pod: Pod | None, node: str = "", zone: str = "") -> str:
    """Region, zone and subzone: by the pod's own labels, else those of its node, else what is listed."""
    around = objects.nodes.get((pod.spec.node_name or node) if pod is not None else node)
    known = around.labels if around is not None else EMPTY
    own = pod.labels if pod is not None else EMPTY
    region, written, subzone = (
        own.get(label, known.get(label, "")) for label in (REGION_LABEL, ZONE_LABEL, SUBZONE_LABEL)
    )
    return "/".join(filter(None, (region, zone or written, subzone)))


def _instance(
    owner: Object,
    address: str,
    ports: Mapping[str, int],
    *,
    pod: Pod | None,
    health: Health,
    place: str,
) -> Endpoint:
    if pod is None:
        return Endpoint(address, owner.namespace, ports, locality=place, health=health)
    tags = pod.labels
    injected = SIDECAR_ANNOTATION in pod.metadata.annotations
    return Endpoint(
        address=address,
        namespace=owner.namespace,
        ports=ports,
        labels=tags,
        service_account=pod.spec.service_account_name or "default",
        locality=tags.get(LOCALITY_LABEL, "").replace(".", "/") or place,
        health=health,
        mtls=tags.get(TLS_MODE_LABEL, "istio" if injected else "") == "istio",
        workload=_workload(pod),
        cluster=CLUSTER,
    )


def _workload(pod: Pod) -> str:
    """What a pod belongs to, as its proxy calls it as well."""
    return pod.labels.get(WORKLOAD_NAME) or owner_of_pod(_owned(pod.metadata), pod.namespace).name


def _owned(meta: Meta) -> dict[str, Any]:
    """What of a pod's metadata says to whom it belongs, as an object that is not there yet has it too."""
    references = [to_builtins(one) for one in meta.owner_references]
    return {
        "name": meta.name,
        "generateName": meta.generate_name,
        "labels": meta.labels,
        "ownerReferences": references,
    }
