"""Auto-registration: what a WorkloadGroup makes of a proxy that names it (Istio, `autoregistration`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from artemon.model.proxy import Proxy, WorkloadPort
from artemon.model.resource import Resource
from artemon.model.service import Protocol
from artemon.model.workload import Workload
from artemon.model.workload_entry import WorkloadEntry
from artemon.model.workload_group import WorkloadGroup
from artemon.store.layout import Layout

GROUP_ANNOTATION = "istio.io/autoRegistrationGroup"
CONTROLLER_ANNOTATION = "istio.io/workloadController"
CONNECTED_ANNOTATION = "istio.io/connectedAt"
MAX_NAME = 253
"""Characters of an object's name (Kubernetes)."""
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-")

Group = Resource[WorkloadGroup]
FindGroup = Callable[[str], Group | None]
"""The WorkloadGroup under a key of the registry, below the mesh's root; None where there is none."""


class NotRegistered(Exception):
    """The group that the proxy names does not take it; the text says why."""


def registered(proxy: Proxy, find: FindGroup) -> Proxy:
    """The proxy with all that its group says; itself where it names none. What the proxy says of itself
    wins over the group's metadata, and that over its template. Raises NotRegistered."""
    if not proxy.group:
        return proxy
    ref = f"WorkloadGroup/{proxy.namespace}/{proxy.group}"
    group = find(Layout().relative(Layout().config("workloadgroups", proxy.namespace, proxy.group)))
    if group is None:
        raise NotRegistered(f"there is no {ref}: apply it, then join again")
    template = group.spec.template or WorkloadEntry()
    if template.service_account and template.service_account != proxy.service_account:
        raise NotRegistered(
            f'{ref} is for service account "{template.service_account}", not "{proxy.service_account}"'
        )
    network = proxy.network or template.network
    return replace(
        proxy,
        labels={**template.labels, **_metadata(group, "labels"), **proxy.labels},
        locality=proxy.locality or template.locality,
        network=network,
        weight=proxy.weight or template.weight,
        ports=proxy.ports or tuple(_port(*one) for one in template.ports.items()),
        entry=entry_name(proxy.group, proxy.ip_addresses[0], proxy.network),
        entry_annotations={GROUP_ANNOTATION: proxy.group, **_metadata(group, "annotations")},
    )


def connected(workload: Workload, *, pilot: str, at: str) -> Workload:
    """The workload with who holds its stream, and since when; nothing else counts as a change."""
    if not workload.entry:
        return workload
    told = {CONTROLLER_ANNOTATION: pilot, CONNECTED_ANNOTATION: at}
    return replace(workload, annotations={**workload.annotations, **told})


def entry_name(group: str, address: str, network: str) -> str:
    """The name of the WorkloadEntry, as Istio has it: `<group>-<address>[-<network>]`, its last 253
    characters; what a name cannot have is `-`."""
    text = "-".join(part for part in (group, address, network) if part).lower()
    return "".join(one if one in _NAME_CHARACTERS else "-" for one in text)[-MAX_NAME:].lstrip(".-")


def _metadata(group: Group, field: str) -> Mapping[str, str]:
    return getattr(group.spec.metadata, field) if group.spec.metadata else {}


def _port(name: str, number: int) -> WorkloadPort:
    """Its protocol is said by its name, as Istio has it: `<protocol>[-<suffix>]`."""
    try:
        protocol = Protocol.parse(name.partition("-")[0])
    except ValueError:
        protocol = Protocol.parse("")
    return WorkloadPort(number, name, protocol, listen_port=number, app_port=number)
