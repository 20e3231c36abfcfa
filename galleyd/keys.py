"""Where objects lie in the registry: the common layout, by reference to an object."""

from __future__ import annotations

from dataclasses import dataclass, field

from artemon.model.kinds import SECRET
from artemon.model.resource import Kind
from artemon.store.layout import Layout
from galleyd.catalog import NAMESPACE
from galleyd.objects import Ref


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one mesh that galleyd reads and writes."""

    layout: Layout = field(default_factory=Layout)

    @property
    def namespaces(self) -> str:
        """Namespaces that were made explicitly."""
        return f"{self.layout.root}namespaces/"

    def of(self, ref: Ref) -> str:
        """One object."""
        if ref.kind is NAMESPACE:
            return f"{self.namespaces}{ref.name}"
        if ref.kind is SECRET:
            return self.layout.secret(ref.namespace, ref.name)
        return self.layout.config(ref.kind.collection, ref.namespace, ref.name)

    def root_of(self, kind: Kind) -> str:
        """What all objects that are kept as those of a kind lie under."""
        if kind is NAMESPACE:
            return self.namespaces
        return self.layout.secrets if kind is SECRET else self.layout.configs

    def collection(self, kind: Kind, namespace: str = "") -> str:
        """All objects of a kind, or of a kind in one namespace."""
        if kind is NAMESPACE:
            return self.namespaces
        whole = self.layout.secrets if kind is SECRET else f"{self.layout.configs}{kind.collection}/"
        return f"{whole}{namespace}/" if namespace else whole
