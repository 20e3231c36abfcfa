"""Meshes for translator tests: YAML in, a proxy's view, listeners and routes out."""

from __future__ import annotations

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
