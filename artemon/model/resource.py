"""The envelope around every user-written object, and the table of kinds' shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from artemon.model.message import Message

S_co = TypeVar("S_co", bound=Message, covariant=True)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object. versions: accepted, the preferred (stored) one first. plural: its name in URLs.
    other_name: what it is called where kinds of all groups lie side by side and another one has its name.
    cluster_wide: whether it has no namespace in clusters (in the mesh's own API every kind has)."""

    name: str
    group: str
    versions: tuple[str, ...]
    plural: str
    singular: str
    short_names: tuple[str, ...]
    spec: type[Message]
    other_name: str = ""
    cluster_wide: bool = False

    @property
    def unique(self) -> str:
        """A name that no other kind has."""
        return self.other_name or self.name

    @property
    def collection(self) -> str:
        """Its name in registry keys, unique across groups."""
        return f"{self.other_name.lower()}s" if self.other_name else self.plural

    @property
    def api_version(self) -> str:
        """`<group>/<preferred version>`; without the group where it is Kubernetes' own."""
        return f"{self.group}/{self.versions[0]}" if self.group else self.versions[0]


@dataclass(frozen=True, slots=True)
class Meta:
    """Object metadata in Kubernetes' terms. created: RFC 3339 UTC; generation grows with spec only.

    other: the rest as written (finalizers, managedFields, ...), which only the API cares about.
    """

    name: str
    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    uid: str = ""
    created: str = ""
    generation: int = 0
    resource_version: str = ""
    other: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Resource(Generic[S_co]):
    """One object: what kind, which one, and its decoded spec."""

    kind: Kind
    meta: Meta
    spec: S_co
    status: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ref(self) -> str:
        """`Kind/namespace/name`, for people."""
        return f"{self.kind.name}/{self.meta.namespace}/{self.meta.name}"
