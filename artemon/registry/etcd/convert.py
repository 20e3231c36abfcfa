"""Records of instances to services. Pure. docs/operate/catalog.md says what a record may have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from artemon.errors import Problem, Refused
from artemon.model.service import Port, Service
from artemon.model.workload import Workload, decode_workload
from artemon.registry.etcd.settings import EtcdRegistrySettings
from artemon.snapshot.services import Source, from_workload

Group = tuple[str, str]
"""Namespace and service."""


def group_of(key: str, prefix: str) -> Group | None:
    """Which service the record under `key` is of; None for keys that are no record."""
    parts = key.removeprefix(prefix).split("/")
    return (parts[0], parts[1]) if len(parts) == 3 and all(parts) else None


def read(group: Group, value: bytes) -> Workload:
    """The instance in a record. Raises Refused with what is wrong."""
    namespace, service = group
    try:
        fields = json.loads(value)
        if not isinstance(fields, dict):
            raise TypeError("it must be an object")
        if not fields.get("address"):
            raise ValueError("address is missing")
        known = {"mtls": False, "serviceAccount": service, **fields, "service": service}
        return decode_workload(namespace, json.dumps(known | _ports(fields)).encode())
    except (ValueError, TypeError, RecursionError) as error:
        raise Refused([Problem("", f"is not a record of an instance: {error}")]) from error


def _ports(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`port` and `protocol` alone stand for one port."""
    if fields.get("ports") or "port" not in fields:
        return {}
    protocol = str(fields.get("protocol") or "")
    name = f"{protocol.lower() or 'auto'}-{fields['port']}"
    return {"ports": [{"name": name, "number": fields["port"], "protocol": protocol}]}


def source(group: Group, instances: Mapping[str, Workload], settings: EtcdRegistrySettings) -> Source:
    """The service that records make, instances in the order of their keys; of ports with one number or name
    the first counts."""
    namespace, name = group
    ports: dict[int, Port] = {}
    ordered = [instances[key] for key in sorted(instances)]
    for port in (port for one in ordered for port in one.ports):
        if port.number not in ports and all(port.name != other.name for other in ports.values()):
            ports[port.number] = Port(port.number, port.name, port.protocol, port.listen_port)
    service = Service(
        host=settings.host.format(service=name, namespace=namespace),
        namespace=namespace,
        ports=tuple(ports[number] for number in sorted(ports)),
        created=settings.created,
        source=f"registry/{settings.name}",
    )
    return Source(
        id=f"registry/{settings.name}/{namespace}/{name}",
        namespace=namespace,
        services=(service,),
        rank=settings.rank,
        inline=tuple(from_workload(one, service.ports) for one in ordered),
        claims=False,
    )
