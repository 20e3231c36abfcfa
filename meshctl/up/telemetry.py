"""How proxies of a mesh on one machine find its mixerd: a service of the mesh, and providers that name it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from meshctl.up.plan import MIXERD_PORT, SYSTEM_NAMESPACE

HOST = f"mixerd.{SYSTEM_NAMESPACE}.svc.cluster.local"
_WHERE = {"service": HOST, "port": MIXERD_PORT}
PROVIDERS: Mapping[str, Mapping[str, Any]] = {
    "mixerd": {"envoyHttpAls": {**_WHERE, "additionalRequestHeadersToLog": ["content-type"]}},
    "mixerd-connections": {"envoyTcpAls": _WHERE},
    "mixerd-traces": {"opentelemetry": _WHERE},
}


def with_providers(known: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The providers, with those of ours that are not there yet."""
    names = {one.get("name") for one in known}
    return [*known, *({"name": name, **one} for name, one in PROVIDERS.items() if name not in names)]


def service(address: str) -> dict[str, Any]:
    """The ServiceEntry of the mixerd at an address; its certificate is checked like any workload's."""
    endpoint = {"address": address, "ports": {"grpc": MIXERD_PORT}, "serviceAccount": "mixerd"}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": "mixerd", "namespace": SYSTEM_NAMESPACE},
        "spec": {
            "hosts": [HOST],
            "location": "MESH_INTERNAL",
            "resolution": "STATIC",
            "ports": [{"number": MIXERD_PORT, "name": "grpc", "protocol": "GRPC"}],
            "endpoints": [endpoint],
        },
    }
