"""Metadata that metrics are labelled by: whose service a cluster is, whose workload an instance is."""

from __future__ import annotations

from functools import lru_cache

from google.protobuf.struct_pb2 import Struct

from artemon.model.canonical import canonical_name, canonical_revision
from artemon.model.metric_fields import peer_text, service_text
from artemon.model.service import Endpoint
from artemon.translate import names
from artemon.translate.wire import struct

SPACE = "artemon"
SERVICE, AROUND = "service", "around"


def service_mark(host: str, namespace: str) -> Struct:
    """For clusters of a service."""
    fields = names.service_metadata(host, namespace)
    return struct({SERVICE: service_text(fields["host"], fields["name"], fields["namespace"])})


def around_mark(name: str) -> Struct:
    """For what stands for "elsewhere" or "nowhere"."""
    return struct({AROUND: name})


def workload_mark(endpoint: Endpoint) -> Struct:
    """For an instance: Istio's `workload` with two parts more."""
    labels = endpoint.labels
    parts = {
        "workload": endpoint.workload,
        "namespace": endpoint.namespace,
        "canonical_service": canonical_name(endpoint.workload, labels),
        "canonical_revision": canonical_revision(labels),
        "cluster": endpoint.cluster,
        "app": labels.get("app", ""),
        "version": labels.get("version", ""),
    }
    return _peer(tuple(parts.items()))


@lru_cache(maxsize=1024)
def _peer(parts: tuple[tuple[str, str], ...]) -> Struct:
    return struct({"workload": peer_text(dict(parts))})
