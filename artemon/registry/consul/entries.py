"""Services of the mesh to entries of Consul's catalog. Pure. Source: Consul HTTP API, `/v1/txn`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from artemon.model.service import Endpoint, Health, Port
from artemon.registry.consul.convert import ACCOUNT_META, OWNER_META
from artemon.registry.consul.settings import ConsulSettings
from artemon.registry.exports import Exported
from artemon.snapshot.services import LOCALITY_LABEL, TLS_MODE_LABEL

HOST_META = "artemon-host"
FENCE_META = "artemon-fence"
MAX_META, MAX_VALUE = 64, 512
"""Pairs of metadata that a service may have, and characters of a value."""
_KEY = re.compile(r"[A-Za-z0-9_-]{1,128}")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_STATUS = {
    Health.HEALTHY: ("passing", "healthy"),
    Health.UNHEALTHY: ("critical", "unhealthy"),
    Health.DRAINING: ("critical", "draining"),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One instance in the catalog. id: unique on the node."""

    id: str
    name: str
    address: str
    port: int
    tags: tuple[str, ...] = ()
    meta: Mapping[str, str] = field(default_factory=dict)
    weight: int = 1
    status: str = "passing"
    output: str = ""

    def service(self) -> dict[str, Any]:
        """As Consul's API takes it."""
        return {
            "ID": self.id,
            "Service": self.name,
            "Address": self.address,
            "Port": self.port,
            "Tags": list(self.tags),
            "Meta": dict(self.meta),
            "Weights": {"Passing": self.weight, "Warning": self.weight},
        }

    def check(self, node: str) -> dict[str, Any]:
        """Its only check, as Consul's API takes it."""
        return {
            "Node": node,
            "CheckID": f"{self.id}:mesh",
            "Name": "the mesh's view",
            "Status": self.status,
            "Output": self.output,
            "ServiceID": self.id,
        }


def read_entry(service: Mapping[str, Any], checks: Iterable[Mapping[str, Any]]) -> Entry:
    """An entry as Consul shows it, under its node."""
    own = next((one for one in checks if one.get("ServiceID") == service["ID"]), {})
    return Entry(
        id=str(service["ID"]),
        name=str(service["Service"]),
        address=str(service.get("Address") or ""),
        port=int(service.get("Port") or 0),
        tags=tuple(service.get("Tags") or ()),
        meta=dict(service.get("Meta") or {}),
        weight=int((service.get("Weights") or {}).get("Passing") or 1),
        status=str(own.get("Status") or ""),
        output=str(own.get("Output") or ""),
    )


def entries(shown: Iterable[Exported], settings: ConsulSettings, mesh: str) -> tuple[dict[str, Entry], str]:
    """The entries by id, and what cannot be shown. Of two services with one name the first counts."""
    wanted = {part.strip() for part in settings.export.split(",")}
    found: dict[str, Entry] = {}
    hosts: dict[str, str] = {}
    problems: list[str] = []
    for one in shown:
        if one.service.namespace not in wanted and "*" not in wanted:
            continue
        name = settings.export_name.format(
            service=one.name.replace(".", "-"), namespace=one.service.namespace
        )
        if not _NAME.fullmatch(name):
            problems.append(f"{one.service.host}: {name!r} cannot be a name in Consul's DNS")
        elif hosts.setdefault(name, one.service.host) != one.service.host:
            problems.append(f"{one.service.host}: {name} is {hosts[name]} already")
        else:
            found |= {made.id: made for made in _instances(name, one, mesh)}
    return found, "; ".join(problems)


def _instances(name: str, one: Exported, mesh: str) -> Iterable[Entry]:
    for endpoint in one.instances:
        ports = [(port, number) for port in one.service.ports if (number := _listens(endpoint, port))]
        if not ports or endpoint.address.startswith("unix:"):
            continue
        (first, number), others = ports[0], ports[1:]
        status, output = _STATUS[endpoint.health]
        tags, meta = _described(endpoint)
        meta |= {
            OWNER_META: mesh,
            HOST_META: one.service.host,
            ACCOUNT_META: endpoint.service_account,
            "namespace": one.service.namespace,
            "protocol": first.protocol.value.lower(),
            "port": str(first.number),
            "ports": ",".join(f"{port.name}/{port.protocol.value.lower()}:{at}" for port, at in others),
        }
        yield Entry(
            id=f"{mesh}:{one.service.host}:{endpoint.address}:{number}",
            name=name,
            address=endpoint.address,
            port=number,
            tags=tags,
            meta={key: value[:MAX_VALUE] for key, value in sorted(meta.items()) if value},
            weight=endpoint.weight,
            status=status,
            output=output,
        )


def _described(endpoint: Endpoint) -> tuple[tuple[str, ...], dict[str, str]]:
    """Tags and metadata from labels: metadata where its key may be one, else a tag `key=value`."""
    labels = dict(endpoint.labels)
    if endpoint.mtls:
        labels[TLS_MODE_LABEL] = "istio"
    if endpoint.locality:
        labels[LOCALITY_LABEL] = endpoint.locality.replace("/", ".")
    meta: dict[str, str] = {}
    tags: list[str] = []
    for key, value in sorted(labels.items()):
        fits = _KEY.fullmatch(key) and not key.startswith(("consul-", "artemon-"))
        if fits and len(meta) < MAX_META - 8:
            meta[key] = value
        elif key:
            tags.append(f"{key}={value}")
    return tuple(tags), meta


def _listens(endpoint: Endpoint, port: Port) -> int:
    return endpoint.ports.get(port.name, port.target_port or port.number)
