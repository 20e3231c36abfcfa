"""Which ports of workloads speak TCP, as far as objects tell: what policies mean there differs from HTTP."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from artemon.model.selector import matches
from artemon.model.service import Protocol
from artemon.model.workload import Workload

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TcpPort:
    """A port of a workload that is forwarded as bytes. port: where the workload listens.

    service: what is shown to people, the host. entry: the ServiceEntry that says so, "" for a joined one.
    """

    namespace: str
    labels: Mapping[str, str]
    port: int
    service: str
    entry: str = ""


@dataclass(frozen=True, slots=True)
class _Instance:
    """A workload of a ServiceEntry. ports: name -> number, where it differs."""

    labels: Mapping[str, str]
    ports: Mapping[str, Any]


def tcp_ports(
    entries: Iterable[Object], workload_entries: Iterable[Object], joined: Iterable[Workload]
) -> Iterator[TcpPort]:
    """The ports of joined workloads, and of those that ServiceEntries (MESH_INTERNAL) name or select.

    What is not an object of its kind tells nothing.
    """
    workloads = list(joined)
    for one in workloads:
        for port in one.ports:
            if port.protocol.is_tcp:
                service = f"{one.service}.{one.namespace}" if one.service else one.node
                yield TcpPort(one.namespace, one.labels, port.listen_port, service)
    machines = [(_namespace(one), _instance(_spec(one))) for one in workload_entries]
    machines += [(one.namespace, _Instance(one.labels, {})) for one in workloads]
    for entry in entries:
        yield from _of_entry(entry, machines)


def _of_entry(entry: Object, machines: Sequence[tuple[str, _Instance]]) -> Iterator[TcpPort]:
    spec, namespace = _spec(entry), _namespace(entry)
    ports = [port for port in _list(spec.get("ports")) if _is_tcp(port.get("protocol"))]
    if spec.get("location") != "MESH_INTERNAL" or not ports:
        return
    wanted = _texts(_mapping(spec.get("workloadSelector")).get("labels"))
    chosen = [one for space, one in machines if wanted and space == namespace and matches(wanted, one.labels)]
    host = next((str(one) for one in spec.get("hosts") or ()), "")
    for instance in (*map(_instance, _list(spec.get("endpoints"))), *chosen):
        for port in ports:
            number = instance.ports.get(str(port.get("name"))) or port.get("targetPort") or port.get("number")
            if isinstance(number, int):
                yield TcpPort(namespace, instance.labels, number, host, str(_meta(entry).get("name")))


def _instance(spec: Mapping[str, Any]) -> _Instance:
    return _Instance(_texts(spec.get("labels")), _mapping(spec.get("ports")))


def _is_tcp(protocol: Any) -> bool:
    try:
        return Protocol.parse(str(protocol or "")).is_tcp
    except ValueError:
        return False


def _spec(obj: Object) -> Mapping[str, Any]:
    return _mapping(obj.get("spec"))


def _meta(obj: Object) -> Mapping[str, Any]:
    return _mapping(obj.get("metadata"))


def _namespace(obj: Object) -> str:
    return str(_meta(obj).get("namespace") or "default")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _texts(value: Any) -> Mapping[str, str]:
    return {str(key): str(one) for key, one in _mapping(value).items()}


def _list(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list | tuple) else []
