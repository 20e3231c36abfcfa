"""Where galleyd's part of the registry lies."""

from __future__ import annotations

from dataclasses import dataclass

from artemon.model.resource import Kind
from galleyd.catalog import NAMESPACE
from galleyd.objects import Ref


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one mesh."""

    mesh_name: str = "default"

    @property
    def root(self) -> str:
        """Everything of the mesh."""
        return f"artemon/{self.mesh_name}/"

    @property
    def config(self) -> str:
        """All objects."""
        return f"{self.root}config/"

    @property
    def namespaces(self) -> str:
        """Namespaces that were made explicitly."""
        return f"{self.root}namespaces/"

    @property
    def proxies(self) -> str:
        """Status of the connected proxies."""
        return f"{self.root}status/proxies/"

    @property
    def mesh(self) -> str:
        """MeshConfig."""
        return f"{self.root}mesh"

    @property
    def histories(self) -> str:
        """Records of writes."""
        return f"{self.root}history/"

    def history(self, revision: int) -> str:
        """The record of the write that makes `revision` (or a later one, where others write as well)."""
        return f"{self.histories}{revision:020d}"

    def of(self, ref: Ref) -> str:
        """One object."""
        if ref.kind is NAMESPACE:
            return f"{self.namespaces}{ref.name}"
        return f"{self.collection(ref.kind, ref.namespace)}{ref.name}"

    def collection(self, kind: Kind, namespace: str = "") -> str:
        """All objects of a kind, or of a kind in one namespace."""
        if kind is NAMESPACE:
            return self.namespaces
        return f"{self.config}{kind.plural}/{namespace}/" if namespace else f"{self.config}{kind.plural}/"
