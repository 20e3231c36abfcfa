"""ServiceEntry: the fields of Istio's v1 schema."""

from __future__ import annotations

from typing import Literal

from artemon.model.message import Message, Seq, Uint32
from artemon.model.selector import LabelsSelector
from artemon.model.workload_entry import WorkloadEntry


class ServicePort(Message):
    """`ServicePort` of Istio's ServiceEntry."""

    number: Uint32 = 0
    protocol: str = ""
    name: str = ""
    target_port: Uint32 = 0


class ServiceEntry(Message):
    """The spec of a ServiceEntry."""

    hosts: Seq[str] = ()
    addresses: Seq[str] = ()
    ports: Seq[ServicePort] = ()
    location: Literal["MESH_EXTERNAL", "MESH_INTERNAL"] = "MESH_EXTERNAL"
    resolution: Literal["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"] = "NONE"
    endpoints: Seq[WorkloadEntry] = ()
    workload_selector: LabelsSelector | None = None
    export_to: Seq[str] = ()
    subject_alt_names: Seq[str] = ()
