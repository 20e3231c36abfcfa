"""ServiceEntry: the fields of Istio's v1 schema."""

from __future__ import annotations

from typing import ClassVar, Literal

from artemon.model.message import Message, Seq, Uint32
from artemon.model.selector import LabelsSelector
from artemon.model.workload_entry import WorkloadEntry


class ServicePort(Message):
    """A port of the service. targetPort: where instances listen, `number` unless written."""

    required: ClassVar[tuple[str, ...]] = ("number", "name")

    number: Uint32 = 0
    protocol: str = ""
    name: str = ""
    target_port: Uint32 = 0


class ServiceEntry(Message):
    """Hosts that the mesh should know as a service, inside or outside of it."""

    required: ClassVar[tuple[str, ...]] = ("hosts",)

    hosts: Seq[str] = ()
    addresses: Seq[str] = ()
    ports: Seq[ServicePort] = ()
    location: Literal["MESH_EXTERNAL", "MESH_INTERNAL"] = "MESH_EXTERNAL"
    resolution: Literal["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"] = "NONE"
    endpoints: Seq[WorkloadEntry] = ()
    workload_selector: LabelsSelector | None = None
    export_to: Seq[str] = ()
    subject_alt_names: Seq[str] = ()
