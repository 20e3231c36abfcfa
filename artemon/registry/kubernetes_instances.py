"""Instances of a Kubernetes Service: by its EndpointSlices, its Endpoints, or the pods that it selects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from artemon.inject.owner import owner_of_pod
from artemon.model.selector import matches
from artemon.model.service import Endpoint, Health
from artemon.registry.kubernetes_objects import (
    Fields,
    Objects,
    labels,
    name,
    namespace,
    notes,
    pod_addresses,
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


def instances(service: Fields, objects: Objects) -> Iterator[Endpoint]:
    """The instances, each address once with all the ports that it is listed with."""
    key = (namespace(service), name(service))
    if key in objects.slices:
        found = _from_slices(service, objects)
    elif key in objects.endpoints:
        found = _from_endpoints(service, objects)
    else:
        found = _from_pods(service, objects)
    by_address: dict[str, Endpoint] = {}
    for one in found:
        known = by_address.get(one.address)
        by_address[one.address] = one if known is None else _united(known, one)
    usable = service["spec"].get("publishNotReadyAddresses") is True
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


def _from_slices(service: Fields, objects: Objects) -> Iterator[Endpoint]:
    for one in objects.slices[namespace(service), name(service)]:
        if one.get("addressType") == "FQDN":
            continue
        ports = _listed_ports(service, one.get("ports"))
        for each in one.get("endpoints") or ():
            for address in each.get("addresses") or ():
                pod = _pod(each, address, service, objects)
                health = _condition(each.get("conditions") or {})
                place = _place(objects, pod, each.get("nodeName") or "", each.get("zone") or "")
                yield _instance(service, address, ports, pod=pod, health=health, place=place)


def _condition(state: Fields) -> Health:
    """Ready unless it says otherwise; one that ends but still serves keeps the requests it has."""
    if state.get("ready") is not False:
        return Health.HEALTHY
    draining = state.get("terminating") is True and state.get("serving") is True
    return Health.DRAINING if draining else Health.UNHEALTHY


def _from_endpoints(service: Fields, objects: Objects) -> Iterator[Endpoint]:
    lists = (("addresses", Health.HEALTHY), ("notReadyAddresses", Health.UNHEALTHY))
    for subset in objects.endpoints[namespace(service), name(service)].get("subsets") or ():
        ports = _listed_ports(service, subset.get("ports"))
        for listed, health in lists:
            for each in subset.get(listed) or ():
                pod = _pod(each, each["ip"], service, objects)
                place = _place(objects, pod)
                yield _instance(service, each["ip"], ports, pod=pod, health=health, place=place)


def _from_pods(service: Fields, objects: Objects) -> Iterator[Endpoint]:
    """Where nothing lists the instances: the pods that the service selects."""
    selector = service["spec"].get("selector")
    for (space, _), pod in sorted(objects.pods.items()):
        status = pod.get("status") or {}
        if not selector or space != namespace(service) or status.get("phase") in _OVER:
            continue
        if matches(selector, labels(pod)):
            for address in pod_addresses(pod)[:1]:
                ports, place = _pod_ports(service, pod), _place(objects, pod)
                yield _instance(service, address, ports, pod=pod, health=_readiness(pod), place=place)


def instance_of(pod: Fields, objects: Objects) -> Endpoint | None:
    """A pod alone, without ports; None when it has no address or has ended."""
    addresses = pod_addresses(pod)
    if not addresses or (pod.get("status") or {}).get("phase") in _OVER:
        return None
    place, health = _place(objects, pod), _readiness(pod)
    return _instance(pod, addresses[0], {}, pod=pod, health=health, place=place)


def _readiness(pod: Fields) -> Health:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    unready = any(one.get("type") == "Ready" and one.get("status") != "True" for one in conditions)
    if pod["metadata"].get("deletionTimestamp"):
        return Health.DRAINING
    return Health.UNHEALTHY if unready else Health.HEALTHY


def _pod_ports(service: Fields, pod: Fields) -> dict[str, int]:
    """Where a pod serves each port of a service: at the number it targets, or the container port it names."""
    spec = pod.get("spec") or {}
    containers = (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
    named = {
        (port["name"], port.get("protocol") or "TCP"): port["containerPort"]
        for container in containers
        for port in container.get("ports") or ()
        if port.get("name")
    }
    found = {}
    for port in service["spec"].get("ports") or ():
        target = port.get("targetPort") or port["port"]
        wanted = (target, port.get("protocol") or "TCP")
        found[port.get("name") or ""] = target if isinstance(target, int) else named.get(wanted, NOT_SERVED)
    return found


def _listed_ports(service: Fields, listed: Iterable[Fields] | None) -> dict[str, int]:
    """The numbers of a list by name; ports of the service that a list leaves out are not served there."""
    numbers = {port.get("name") or "": port["port"] for port in listed or () if port.get("port")}
    if not numbers:
        return {}
    asked = (port.get("name") or "" for port in service["spec"].get("ports") or ())
    return {port: numbers.get(port, NOT_SERVED) for port in asked}


def _pod(entry: Fields, address: str, service: Fields, objects: Objects) -> Fields | None:
    """The pod that an address belongs to, None when it is not known."""
    target = entry.get("targetRef") or {}
    if target.get("kind", "Pod") == "Pod" and target.get("name"):
        key = (target.get("namespace") or namespace(service), target["name"])
        if key in objects.pods:
            return objects.pods[key]
    found = objects.addresses.get(address)
    return found if found is not None and namespace(found) == namespace(service) else None


def _place(objects: Objects, pod: Fields | None, node: str = "", zone: str = "") -> str:
    """Region, zone and subzone: by the pod's own labels, else those of its node, else what is listed."""
    node = ((pod.get("spec") or {}).get("nodeName") or node) if pod else node
    found = objects.nodes.get(node)
    known = {**(labels(found) if found else {}), **(labels(pod) if pod else {})}
    parts = (known.get(REGION_LABEL, ""), zone or known.get(ZONE_LABEL, ""), known.get(SUBZONE_LABEL, ""))
    return "/".join(filter(None, parts))


def _instance(
    owner: Fields,
    address: str,
    ports: Mapping[str, int],
    *,
    pod: Fields | None,
    health: Health,
    place: str,
) -> Endpoint:
    tags = labels(pod) if pod else {}
    injected = pod is not None and SIDECAR_ANNOTATION in notes(pod)
    account = ((pod.get("spec") or {}).get("serviceAccountName") or "default") if pod else ""
    return Endpoint(
        address=address,
        namespace=namespace(owner),
        ports=ports,
        labels=tags,
        service_account=account,
        locality=tags.get(LOCALITY_LABEL, "").replace(".", "/") or place,
        health=health,
        mtls=tags.get(TLS_MODE_LABEL, "istio" if injected else "") == "istio",
        workload=_workload(pod) if pod else "",
        cluster=CLUSTER if pod else "",
    )


def _workload(pod: Fields) -> str:
    """What a pod belongs to, as its proxy calls it as well."""
    return labels(pod).get(WORKLOAD_NAME) or owner_of_pod(pod.get("metadata") or {}, namespace(pod)).name
