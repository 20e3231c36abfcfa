"""What counts for warnings beside configuration: MeshConfig, joined workloads, names of Secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from artemon.errors import ArtemonError
from artemon.model.decode import load_mesh_config
from artemon.model.mesh_config import MeshConfig
from artemon.model.workload import Workload, decode_workload
from artemon.pki.signing import split
from artemon.store.layout import Layout
from galleyd.feed import Feed


def _quiet() -> Feed:
    """Values alone: nobody reads the log of their changes."""
    return Feed(max_changes=1, max_bytes=1)


@dataclass(frozen=True, slots=True)
class Around:
    """Values as last seen; `feeds` are to be followed."""

    layout: Layout
    _mesh: Feed = field(default_factory=_quiet)
    _workloads: Feed = field(default_factory=_quiet)
    kept: Feed = field(default_factory=_quiet)
    """Secrets, as they lie in the registry."""

    @property
    def feeds(self) -> Mapping[str, Feed]:
        """Prefix in the registry -> what takes its changes."""
        return {
            self.layout.mesh: self._mesh,
            self.layout.workloads: self._workloads,
            self.layout.secrets: self.kept,
        }

    def mesh(self) -> MeshConfig | None:
        """MeshConfig, the defaults where there is none; None when it is not known, or cannot be read."""
        if not self._mesh.synced:
            return None
        value = next((one.value for one in self._mesh.values() if one.key == self.layout.mesh), None)
        try:
            return load_mesh_config(split(value)[0].decode(), "mesh") if value else MeshConfig()
        except (ArtemonError, UnicodeDecodeError):
            return None

    def secrets(self) -> set[tuple[str, str]] | None:
        """Namespace and name of every Secret; None when they are not known."""
        if not self.kept.synced:
            return None
        keys = (one.key.removeprefix(self.layout.secrets).partition("/") for one in self.kept.values())
        return {(namespace, name) for namespace, _, name in keys}

    def workloads(self) -> Iterator[Workload]:
        """Those that joined; what cannot be read is left out."""
        for entry in self._workloads.values():
            namespace = entry.key.removeprefix(self.layout.workloads).partition("/")[0]
            try:
                yield decode_workload(namespace, entry.value)
            except ArtemonError:
                continue
