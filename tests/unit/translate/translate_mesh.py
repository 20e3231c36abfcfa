"""Meshes for translator tests: YAML in, a proxy's view, listeners and routes out."""

from __future__ import annotations

import json
from typing import Any

from artemon.model.decode import load_yaml
from artemon.model.mesh_config import MeshConfig
from artemon.registry.files import read_proxy, snapshot_of
from artemon.snapshot.view import ProxyView


def view_of(
    config: str, proxy: dict[str, Any] | None = None, mesh: dict[str, Any] | None = None
) -> ProxyView:
    """What a proxy (a sidecar in `default` unless said otherwise) sees of the mesh in `config`."""
    snapshot = snapshot_of(load_yaml(config), MeshConfig.model_validate(mesh or {}))
    return snapshot.view(read_proxy(proxy or {}))


def service_entry(host: str, ports: list[tuple[int, str]], namespace: str = "default", **spec: Any) -> str:
    """A ServiceEntry of the mesh as text; `ports` are numbers and protocols."""
    written = [{"number": number, "name": f"{p or 'auto'}-{number}", "protocol": p} for number, p in ports]
    spec = {"hosts": [host], "ports": written, "resolution": "STATIC", "location": "MESH_INTERNAL", **spec}
    meta = {"name": host.replace(".", "-"), "namespace": namespace}
    fields = {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": meta, "spec": spec}
    return json.dumps(fields)
