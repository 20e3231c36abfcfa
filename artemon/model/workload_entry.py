"""WorkloadEntry: the fields of Istio's v1 schema."""

from __future__ import annotations

from pydantic import Field

from artemon.model.message import Message, Uint32


class WorkloadEntry(Message):
    """One instance that no platform knows of, such as a VM. locality: `region[/zone[/subzone]]`."""

    address: str = ""
    ports: dict[str, Uint32] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)
    network: str = ""
    locality: str = ""
    weight: Uint32 = 0
    service_account: str = ""
