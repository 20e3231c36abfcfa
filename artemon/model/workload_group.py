"""WorkloadGroup: the fields of Istio's v1 schema."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from artemon.model.message import Int32, Message, Seq, Uint32
from artemon.model.workload_entry import WorkloadEntry


class ExecHealthCheckConfig(Message):
    """Healthy when a command ends with 0."""

    required: ClassVar[tuple[str, ...]] = ("command",)

    command: Seq[str] = ()


class GrpcHealthCheckConfig(Message):
    """Healthy when the gRPC health service says SERVING."""

    port: Uint32 = 0
    service: str = ""


class HTTPHeader(Message):
    """A header of the probe."""

    name: str = ""
    value: str = ""


class HTTPHealthCheckConfig(Message):
    """Healthy when the answer's status is 200 to 399."""

    required: ClassVar[tuple[str, ...]] = ("port",)

    path: str = ""
    port: Uint32 = 0
    host: str = ""
    scheme: str = ""
    http_headers: Seq[HTTPHeader] = ()


class TCPHealthCheckConfig(Message):
    """Healthy when a connection opens."""

    required: ClassVar[tuple[str, ...]] = ("port",)

    host: str = ""
    port: Uint32 = 0


class ReadinessProbe(Message):
    """How the agent finds out whether its workload is healthy; 0 means the default."""

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {
        "health_check_method": ("httpGet", "tcpSocket", "exec", "grpc")
    }

    initial_delay_seconds: Int32 = 0
    timeout_seconds: Int32 = 0
    period_seconds: Int32 = 0
    success_threshold: Int32 = 0
    failure_threshold: Int32 = 0
    http_get: HTTPHealthCheckConfig | None = None
    tcp_socket: TCPHealthCheckConfig | None = None
    exec_: ExecHealthCheckConfig | None = Field(default=None, alias="exec")
    grpc: GrpcHealthCheckConfig | None = None


class WorkloadGroupObjectMeta(Message):
    """Labels and annotations of the WorkloadEntries made from the group."""

    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class WorkloadGroup(Message):
    """What the WorkloadEntries of joining machines have in common."""

    required: ClassVar[tuple[str, ...]] = ("template",)

    metadata: WorkloadGroupObjectMeta | None = None
    template: WorkloadEntry | None = None
    probe: ReadinessProbe | None = None
