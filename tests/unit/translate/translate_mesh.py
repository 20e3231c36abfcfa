"""Meshes for translator tests: YAML in, a proxy's view, listeners and routes out."""

from __future__ import annotations

import json
from typing import Any

from artemon.model.decode import load_yaml
from artemon.model.mesh_config import MeshConfig
from artemon.registry.files import read_proxy, snapshot_of
from artemon.simulate import Configuration, read_call, simulate
from artemon.snapshot.view import ProxyView
from artemon.translate.listeners import listeners
from artemon.translate.routes import routes


def view_of(
    config: str, proxy: dict[str, Any] | None = None, mesh: dict[str, Any] | None = None
) -> ProxyView:
    """What a proxy (a sidecar in `default` unless said otherwise) sees of the mesh in `config`."""
    snapshot = snapshot_of(load_yaml(config), MeshConfig.model_validate(mesh or {}))
    return snapshot.view(read_proxy(proxy or {}))


def reached(view: ProxyView, **call: Any) -> dict[str, Any]:
    """What the proxy with this view does with a call, in the words of `meshctl explain`."""
    configuration = Configuration(listeners=listeners(view), routes=routes(view))
    return simulate(configuration, read_call(call)).fields()


def service_entry(host: str, ports: list[tuple[int, str]], namespace: str = "default", **spec: Any) -> str:
    """A ServiceEntry of the mesh as text; `ports` are numbers and protocols."""
    written = [{"number": number, "name": f"{p or 'auto'}-{number}", "protocol": p} for number, p in ports]
    spec = {"hosts": [host], "ports": written, "resolution": "STATIC", "location": "MESH_INTERNAL", **spec}
    meta = {"name": host.replace("*", "any").replace(".", "-"), "namespace": namespace}
    fields = {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": meta, "spec": spec}
    return json.dumps(fields)
