"""How one label holds all that Envoy tells of a request: what proxyd takes apart when metrics are asked for.

Envoy formats every label of every metric anew, which costs more than the counting. So each metric has one
label `PACKED`: a head, then fields in the order of `Field`, between `SEPARATOR`s. The head is `SOURCE` or
`DESTINATION`, then labels that are taken away, each after a `WITHOUT`. The last field may hold separators,
those before it cannot: addresses of the mesh and words of Envoy have none. What a caller writes can therefore
never pass for another field.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType

SEPARATOR = "|"
PACKED = "p"
STAT_PREFIX = "artemon"
EXPOSED = f"envoy_{STAT_PREFIX}_"
"""What Envoy puts before the name of such a metric."""
SOURCE, DESTINATION = "s", "d"
WITHOUT = "-"
WRITTEN = "x_"
"""Before the names of labels that a Telemetry writes."""


class Field(IntEnum):
    """The fields. OWN and PEER: URI names of the certificates. WHO: of the peer, `peer_text` or the subject
    of its certificate. AROUND: the name that stands for "elsewhere" and "nowhere". SERVICE: `service_text`,
    or the host that was asked for."""

    CODE = 1
    FLAGS = 2
    GRPC_STATUS = 3
    OWN = 4
    PEER = 5
    WHO = 6
    AROUND = 7
    SERVICE = 8


LABELS = (
    "reporter",
    "source_workload",
    "source_canonical_service",
    "source_canonical_revision",
    "source_workload_namespace",
    "source_principal",
    "source_app",
    "source_version",
    "source_cluster",
    "destination_workload",
    "destination_workload_namespace",
    "destination_principal",
    "destination_app",
    "destination_version",
    "destination_service",
    "destination_canonical_service",
    "destination_canonical_revision",
    "destination_service_name",
    "destination_service_namespace",
    "destination_cluster",
    "request_protocol",
    "response_code",
    "grpc_response_status",
    "response_flags",
    "connection_security_policy",
)
"""Istio's labels, in Istio's order."""
HTTP_ONLY = frozenset({"response_code", "grpc_response_status"})
UNKNOWN = "unknown"
TRACED: Mapping[str, str] = MappingProxyType(
    {
        "canonical_service": "ARTEMON_CANONICAL_SERVICE",
        "canonical_revision": "ARTEMON_CANONICAL_REVISION",
        "cluster_id": "ARTEMON_CLUSTER_ID",
    }
)
"""Tags of spans, after `istio.` -> variables of Envoy's environment that proxyd sets."""
SIDE = "artemon.side"
"""The tag of access log entries that says whose traffic it is: inbound, outbound, gateway."""

WORKLOAD_PARTS = (
    "workload",
    "namespace",
    "canonical_service",
    "canonical_revision",
    "cluster",
    "app",
    "version",
)
"""Of `peer_text`: Istio's five, then two more."""
PEER_SEPARATOR = ";"


def peer_text(parts: Mapping[str, str]) -> str:
    """The workload of an instance, as the metadata of its endpoint says it."""
    return PEER_SEPARATOR.join(_clean(parts.get(name, "")) for name in WORKLOAD_PARTS)


def _clean(text: str) -> str:
    return text.replace(PEER_SEPARATOR, "_").replace(SEPARATOR, "_")


def service_text(host: str, name: str, namespace: str) -> str:
    """A service, as the metadata of its clusters says it."""
    return SEPARATOR.join((host, name, namespace))
