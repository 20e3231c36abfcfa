"""WorkloadEntries of machines that a WorkloadGroup registered (pilotd keeps them): shown, not written."""

from __future__ import annotations

from artemon.errors import ArtemonError
from artemon.model.kinds import WORKLOAD_ENTRY
from artemon.model.service import Health
from artemon.model.workload import Workload, decode_workload
from artemon.store.api import Entry, Store
from artemon.store.layout import Layout
from galleyd.objects import Object, Ref, Stored


async def registered(store: Store, layout: Layout, namespace: str) -> list[Stored]:
    """Those of one namespace or ("") all, in the order of their names. What cannot be read is left out."""
    prefix = f"{layout.workloads}{namespace}/" if namespace else layout.workloads
    found = [_shown(layout, entry) for entry in (await store.list(prefix)).entries]
    return sorted((one for one in found if one), key=lambda one: one.object["metadata"]["name"])


async def find(store: Store, layout: Layout, ref: Ref) -> Stored | None:
    """The one that `ref` names; None where there is none, or `ref` is of another kind."""
    if ref.kind is not WORKLOAD_ENTRY:
        return None
    found = await registered(store, layout, ref.namespace)
    return next((one for one in found if one.object["metadata"]["name"] == ref.name), None)


def _shown(layout: Layout, entry: Entry) -> Stored | None:
    namespace = entry.key.removeprefix(layout.workloads).partition("/")[0]
    try:
        workload = decode_workload(namespace, entry.value)
    except ArtemonError:
        return None
    return Stored(_object(workload), entry.version) if workload.entry else None


def _object(workload: Workload) -> Object:
    """As Istio writes it, with the condition `Healthy`."""
    spec = {
        "address": workload.address,
        "ports": {port.name: port.listen_port for port in workload.ports},
        "labels": dict(workload.labels),
        "network": workload.network,
        "locality": workload.locality,
        "weight": workload.weight,
        "serviceAccount": workload.service_account,
    }
    healthy = "True" if workload.health is Health.HEALTHY else "False"
    condition = {"type": "Healthy", "status": healthy, "reason": workload.health.value}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": WORKLOAD_ENTRY.name,
        "metadata": {
            "name": workload.entry,
            "namespace": workload.namespace,
            "labels": dict(workload.labels),
            "annotations": dict(workload.annotations),
        },
        "spec": {key: value for key, value in spec.items() if value},
        "status": {"conditions": [condition]},
    }
