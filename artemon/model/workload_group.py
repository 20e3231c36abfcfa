"""WorkloadGroup: the fields of Istio's v1 schema."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from artemon.model.message import Int32, Message, Seq, Uint32
from artemon.model.workload_entry import WorkloadEntry


class ExecHealthCheckConfig(Message):
    """`ExecHealthCheckConfig` of Istio's WorkloadGroup."""

    command: Seq[str] = ()


class GrpcHealthCheckConfig(Message):
    """`GrpcHealthCheckConfig` of Istio's WorkloadGroup."""

    port: Uint32 = 0
    service: str = ""


class HTTPHeader(Message):
    """`HTTPHeader` of Istio's WorkloadGroup."""

    name: str = ""
    value: str = ""


class HTTPHealthCheckConfig(Message):
    """`HTTPHealthCheckConfig` of Istio's WorkloadGroup."""

    path: str = ""
    port: Uint32 = 0
    host: str = ""
    scheme: str = ""
    http_headers: Seq[HTTPHeader] = ()


class TCPHealthCheckConfig(Message):
    """`TCPHealthCheckConfig` of Istio's WorkloadGroup."""

    host: str = ""
    port: Uint32 = 0


class ReadinessProbe(Message):
    """`ReadinessProbe` of Istio's WorkloadGroup."""

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
    """`WorkloadGroup.ObjectMeta` of Istio's WorkloadGroup."""

    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class WorkloadGroup(Message):
    """The spec of a WorkloadGroup."""

    metadata: WorkloadGroupObjectMeta | None = None
    template: WorkloadEntry | None = None
    probe: ReadinessProbe | None = None
