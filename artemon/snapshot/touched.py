"""What a round of changes touches, while it is collected."""

from __future__ import annotations

from artemon.snapshot.changes import ChangeSet, Position, ServiceKey


class Touched:
    """A change set in the making."""

    def __init__(self) -> None:
        self.kinds: set[str] = set()
        self.namespaces: set[str] = set()
        self.services: set[ServiceKey] = set()
        self.endpoints_only = True
        self.claimed: set[str] = set()

    def add(self, kind: str, namespace: str, *, endpoints_only: bool = False) -> None:
        """An object of this kind changed."""
        self.kinds.add(kind)
        self.namespaces.add(namespace)
        self.endpoints_only = self.endpoints_only and endpoints_only

    def frozen(self, position: Position) -> ChangeSet:
        """What was collected."""
        return ChangeSet(
            position=position,
            kinds=frozenset(self.kinds),
            namespaces=frozenset(self.namespaces),
            services=frozenset(self.services),
            endpoints_only=self.endpoints_only,
            claimed=frozenset(self.claimed),
        )
