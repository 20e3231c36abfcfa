"""Consul's answers to services. Pure. Source: Consul HTTP API, `/v1/health/service/:service`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Any

from artemon.model.service import Endpoint, Health, Port, Protocol, Resolution, Service
from artemon.registry.consul.settings import ConsulSettings
from artemon.snapshot.services import LOCALITY_LABEL, TLS_MODE_LABEL, Source

Row = Mapping[str, Any]
"""One instance: `Node`, `Service`, `Checks`."""

OWNER_META = "artemon-owner"
"""Metadata of what a mesh put into the catalog; nobody reads it back."""
ACCOUNT_META = "service-account"
MESH_ONLY = frozenset({"connect-proxy", "mesh-gateway", "terminating-gateway"})
"""Kinds that take Consul's own mutual TLS alone: nothing for a client of this mesh."""
MAX_PORTS = 50
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,126}[a-z0-9_])?")
_TAG = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LABEL = re.compile(r"[A-Za-z0-9._/-]{1,127}")


def sources(name: str, rows: Iterable[Row], settings: ConsulSettings) -> list[Source]:
    """What the instances of one name are in the mesh: a source for each namespace that they name, and one
    for each of their tags where tags are hosts. Names that cannot be part of a host, and what the mesh itself
    put there, give none."""
    if not _NAME.fullmatch(name.lower()):
        return []
    found: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if _is_wanted(row, settings):
            found[namespace_of(row, settings)].append(row)
    made = []
    for namespace, many in sorted(found.items()):
        made.append(_source(name.lower(), namespace, many, settings))
        for tag in _host_tags(many) if settings.tag_hosts else ():
            tagged = [row for row in many if tag in _lower_tags(row)]
            made.append(_source(name.lower(), namespace, tagged, settings, tag=f"{tag}."))
    return made


def _host_tags(rows: Iterable[Row]) -> list[str]:
    """Tags that can be part of a host."""
    tags = {tag for row in rows for tag in _lower_tags(row)}
    return sorted(tag for tag in tags if _TAG.fullmatch(tag))


def _lower_tags(row: Row) -> set[str]:
    """The tags of an instance, as Consul's DNS knows them."""
    return {str(tag).lower() for tag in row["Service"].get("Tags") or ()}


def source_id(name: str, namespace: str, settings: ConsulSettings) -> str:
    """The id of a source: a key of the world."""
    return f"registry/{settings.name}/{namespace}/{name.lower()}"


def namespace_of(row: Row, settings: ConsulSettings) -> str:
    """By rule: what the metadata names, else Consul's own namespace (Enterprise), else the registry's."""
    service = row["Service"]
    named = _meta(service).get(settings.namespace_meta) or service.get("Namespace") or ""
    valid = re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", named)
    return named if valid and named != "default" else settings.namespace


def _is_wanted(row: Row, settings: ConsulSettings) -> bool:
    service = row["Service"]
    meta = _meta(service)
    key, _, value = settings.meta.partition("=")
    return (
        service.get("Kind", "") not in MESH_ONLY
        and OWNER_META not in meta
        and (not settings.tag or settings.tag in (service.get("Tags") or ()))
        and (not key or meta.get(key) == value)
        and bool(address_of(row, settings)[0])
    )


def _source(name: str, namespace: str, rows: list[Row], settings: ConsulSettings, *, tag: str = "") -> Source:
    """tag: what stands before the name, with its dot; "": nothing."""
    rows = sorted(rows, key=lambda row: (row["Node"].get("Node", ""), row["Service"].get("ID", "")))
    external = any(_is_true(_meta(row["Service"]).get("external")) for row in rows)
    ports = _ports(rows, settings)
    named = any(not _is_ip(address_of(row, settings)[0]) for row in rows)
    service = Service(
        host=f"{tag}{name}.{settings.suffix}",
        namespace=namespace,
        ports=ports,
        resolution=Resolution.DNS if named else Resolution.STATIC,
        mesh_external=external,
        created=settings.created,
        source=f"registry/{settings.name}",
    )
    instances = (_endpoint(row, name, namespace, ports, settings) for row in rows)
    return Source(
        id=source_id(f"{tag}{name}", namespace, settings),
        namespace=namespace,
        services=(service,),
        rank=settings.rank,
        inline=tuple(instances),
        claims=False,
    )


def _ports(rows: Iterable[Row], settings: ConsulSettings) -> tuple[Port, ...]:
    """Every port that an instance has, the first one's word on its protocol counting; at most MAX_PORTS."""
    found: dict[int, Port] = {}
    for row in rows:
        for number, (label, _, protocol) in own_ports(row, settings).items():
            if number not in found and len(found) < MAX_PORTS:
                found[number] = Port(number, label, protocol)
    return tuple(found[number] for number in sorted(found))


def own_ports(row: Row, settings: ConsulSettings) -> dict[int, tuple[str, int, Protocol]]:
    """Service port -> its name, where this instance listens for it, protocol.

    The registered port, and those in metadata `ports`: `grpc:9090,admin:8081`, by the name of a protocol or
    `name/protocol`.
    """
    meta = _meta(row["Service"])
    ports: dict[int, tuple[str, int, Protocol]] = {}
    _, listening = address_of(row, settings)
    if listening:
        protocol = _protocol(meta.get("protocol") or _tagged(row, "protocol"), settings)
        number = _number(meta.get("port", "")) or settings.port or listening
        ports[number] = (_port_name(protocol, number), listening, protocol)
    for part in (meta.get("ports") or "").split(","):
        label, _, text = part.strip().partition(":")
        number = _number(text)
        if number and label:
            protocol = _protocol(label.rpartition("/")[2], settings)
            ports.setdefault(number, (_port_name(protocol, number), number, protocol))
    return ports


def _port_name(protocol: Protocol, number: int) -> str:
    return f"{protocol.value.lower() or 'auto'}-{number}"


def _endpoint(
    row: Row, name: str, namespace: str, ports: tuple[Port, ...], settings: ConsulSettings
) -> Endpoint:
    service, meta = row["Service"], _meta(row["Service"])
    health, weight = health_of(row)
    own = own_ports(row, settings)
    labels = labels_of(service)
    return Endpoint(
        address=address_of(row, settings)[0],
        namespace=namespace,
        ports={port.name: own[port.number][1] if port.number in own else 0 for port in ports},
        labels=labels,
        service_account=meta.get(ACCOUNT_META) or name,
        locality=_locality(row),
        weight=weight,
        health=health,
        mtls=labels.get(TLS_MODE_LABEL) == "istio",
        workload=name,
    )


def address_of(row: Row, settings: ConsulSettings) -> tuple[str, int]:
    """Address and port of an instance; the port is 0 where none is registered."""
    service, node = row["Service"], row["Node"]
    port = int(service.get("Port") or 0)
    if settings.address != "service":
        tagged = (service.get("TaggedAddresses") or {}).get(settings.address) or {}
        node_tagged = (node.get("TaggedAddresses") or {}).get(settings.address)
        if tagged.get("Address"):
            return str(tagged["Address"]), int(tagged.get("Port") or port)
        if node_tagged and (settings.address == "wan" or not service.get("Address")):
            return str(node_tagged), port
    return str(service.get("Address") or node.get("Address") or ""), port


def labels_of(service: Row) -> dict[str, str]:
    """Labels of an instance: its metadata, and its tags `key|value` and `key=value`; other tags are `true`.
    Metadata wins over tags; what no label can be is left out."""
    labels: dict[str, str] = {}
    for tag in service.get("Tags") or ():
        cut = next((sign for sign in "|=" if sign in tag), "")
        key, _, value = tag.partition(cut) if cut else (tag, "", "true")
        labels[key] = value
    labels |= _meta(service)
    return {key: value for key, value in labels.items() if _LABEL.fullmatch(key)}


def health_of(row: Row) -> tuple[Health, int]:
    """Health and weight: maintenance drains, critical is unhealthy, warning has a weight of its own (Consul's
    rule: the worst check of instance and node counts; a weight of 0 takes no requests)."""
    checks = row.get("Checks") or ()
    weights = row["Service"].get("Weights") or {}
    if any(_is_maintenance(check) for check in checks):
        return Health.DRAINING, max(1, int(weights.get("Passing") or 1))
    states = {check.get("Status") for check in checks}
    weight = int(weights.get("Warning" if "warning" in states else "Passing", 1) or 0)
    if states & {"critical", "maintenance"}:
        return Health.UNHEALTHY, max(1, weight)
    return (Health.HEALTHY if weight else Health.DRAINING), max(1, weight)


def _is_maintenance(check: Row) -> bool:
    name = str(check.get("CheckID") or "")
    critical = check.get("Status") == "critical"
    return critical and (name == "_node_maintenance" or name.startswith("_service_maintenance:"))


def _locality(row: Row) -> str:
    """`region/zone` as Consul knows it, else the datacenter; a label says it better than both."""
    label = labels_of(row["Service"]).get(LOCALITY_LABEL, "").replace(".", "/")
    known = row["Service"].get("Locality") or row["Node"].get("Locality") or {}
    parts = [known.get("Region") or "", known.get("Zone") or ""]
    return label or "/".join(filter(None, parts)) or str(row["Node"].get("Datacenter") or "")


def _protocol(text: str, settings: ConsulSettings) -> Protocol:
    """A protocol that is not known is bytes; none at all is the registry's."""
    try:
        return Protocol.parse(text or settings.protocol)
    except ValueError:
        return Protocol.TCP


def _tagged(row: Row, key: str) -> str:
    tags = row["Service"].get("Tags") or ()
    return next((tag[len(key) + 1 :] for tag in tags if tag.startswith((f"{key}|", f"{key}="))), "")


def _meta(service: Row) -> Mapping[str, str]:
    meta: Mapping[str, str] = service.get("Meta") or {}
    return meta


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) < 65536 else 0


def _is_true(text: str | None) -> bool:
    return (text or "").lower() not in {"", "false", "0", "no"}


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
