"""The record of a joined workload, as pilotd writes it while it holds the proxy's stream."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from sys import intern
from typing import Any

from artemon.errors import Problem, Refused
from artemon.model.proxy import WorkloadPort
from artemon.model.service import EMPTY, Health, Protocol

NO_SERVICE = "_"
"""Stands for the service in the key of a workload that serves none."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One joined workload. address: where its proxy listens. mtls: whether its proxy terminates mutual TLS.

    service: "" when it serves none (a gateway). weight: 1 or more. name: of the workload, in metrics.
    is_pod: it is a pod of a cluster, which its Services list themselves. entry: name of the WorkloadEntry
    that it is, where a WorkloadGroup registered it; annotations: of that, which configure no proxy.
    registry: the other registry that knows it, and says what it is.
    """

    node: str
    namespace: str
    service: str
    address: str
    ports: tuple[WorkloadPort, ...] = ()
    labels: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    service_account: str = "default"
    locality: str = ""
    network: str = ""
    weight: int = 1
    health: Health = Health.HEALTHY
    mtls: bool = True
    name: str = ""
    cluster: str = ""
    is_pod: bool = False
    entry: str = ""
    registry: str = ""
    annotations: Mapping[str, str] = field(default_factory=lambda: EMPTY, compare=False)


def encode_workload(workload: Workload) -> bytes:
    """The record as JSON; equal workloads have equal bytes."""
    fields = _fields(workload)
    if workload.entry:
        fields |= {"entry": workload.entry, "annotations": dict(workload.annotations)}
    if workload.registry:
        fields["registry"] = workload.registry
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


def _fields(workload: Workload) -> dict[str, Any]:
    return {
        "node": workload.node,
        "service": workload.service,
        "address": workload.address,
        "ports": [_port_fields(port) for port in workload.ports],
        "labels": dict(workload.labels),
        "serviceAccount": workload.service_account,
        "locality": workload.locality,
        "network": workload.network,
        "weight": workload.weight,
        "health": workload.health.value,
        "mtls": workload.mtls,
        "name": workload.name,
        "cluster": workload.cluster,
    }


def _port_fields(port: WorkloadPort) -> dict[str, Any]:
    return {
        "name": port.name,
        "number": port.number,
        "protocol": port.protocol.value,
        "listenPort": port.listen_port,
        "appPort": port.app_port,
    }


def decode_workload(namespace: str, value: bytes) -> Workload:
    """The workload of `namespace` in a record. Raises Refused with what is wrong; unknown fields are let be,
    so that a newer pilotd can write more."""
    try:
        fields = json.loads(value)
        return _workload(namespace, fields)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise Refused([Problem("", f"is not a workload record: {error!r}")]) from error


def _workload(namespace: str, fields: Mapping[str, Any]) -> Workload:
    weight = int(fields.get("weight", 1))
    if weight < 1:
        raise ValueError(f"weight {weight} is below 1")
    return Workload(
        node=_text(fields, "node"),
        namespace=namespace,
        service=_word(fields, "service"),
        address=_text(fields, "address"),
        ports=_shared(tuple(_port(port) for port in fields.get("ports") or ())),
        labels=_labels(tuple((str(k), str(v)) for k, v in (fields.get("labels") or {}).items())),
        service_account=_word(fields, "serviceAccount") or "default",
        locality=_word(fields, "locality"),
        network=_word(fields, "network"),
        weight=weight,
        health=Health(fields.get("health") or "HEALTHY"),
        mtls=bool(fields.get("mtls", True)),
        name=_word(fields, "name"),
        cluster=_word(fields, "cluster"),
        entry=_text(fields, "entry"),
        registry=_word(fields, "registry"),
        annotations={str(k): str(v) for k, v in (fields.get("annotations") or {}).items()} or EMPTY,
    )


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name) or ""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string")
    return value


def _word(fields: Mapping[str, Any], name: str) -> str:
    """A text that many workloads have in common: one object for all of them."""
    return intern(_text(fields, name))


@lru_cache(maxsize=4096)
def _shared(ports: tuple[WorkloadPort, ...]) -> tuple[WorkloadPort, ...]:
    """One object for all workloads with the same ports."""
    return ports


@lru_cache(maxsize=4096)
def _labels(pairs: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    """One object for all workloads with the same labels."""
    return {intern(key): intern(value) for key, value in pairs}


def _port(fields: Mapping[str, Any]) -> WorkloadPort:
    number = _port_number(fields["number"])
    listen = _port_number(fields.get("listenPort") or number)
    return WorkloadPort(
        number=number,
        name=str(fields["name"]),
        protocol=Protocol.parse(str(fields.get("protocol") or "")),
        listen_port=listen,
        app_port=_port_number(fields.get("appPort") or listen),
    )


def _port_number(value: Any) -> int:
    number = int(value)
    if not 0 < number < 65536:
        raise ValueError(f"{number} is not a port")
    return number
