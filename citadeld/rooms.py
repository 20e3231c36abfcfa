"""The roots of this replica: one key room in the data directory, below `roots/` one for each made later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from artemon.errors import ArtemonError
from artemon.pki.certificate import Authority, fingerprint
from citadeld.authority import KeyRoom

ROOTS = "roots"
WAITING = ".waits-"
"""Before the names of those that have no intermediate yet; they are not looked into."""
NAME = 16
"""Characters of a root's fingerprint that name its directory."""


@dataclass(frozen=True, slots=True)
class Rooms:
    """All key rooms. first: the one in the data directory."""

    first: KeyRoom

    def every(self) -> list[KeyRoom]:
        """Those that have a root."""
        below = sorted((self.first.directory / ROOTS).glob("*/"))
        rooms = [self.first, *(self.first.beside(Path(path)) for path in below)]
        return [room for room in rooms if room.has_root()]

    def of(self, root: str) -> KeyRoom | None:
        """The room of the root with this SHA-256."""
        return next((room for room in self.every() if fingerprint(room.root()) == root), None)

    def active(self, roots: Sequence[x509.Certificate]) -> KeyRoom:
        """The room to issue from: of the first root that is trusted and here; else the first (whose root is
        refused when it is published). Raises ArtemonError when there is no root here at all."""
        found = self.trusted(roots)
        if found or not roots or self.every():
            return found[0] if found else self.first
        known = ", ".join(fingerprint(root) for root in roots)
        raise ArtemonError(
            f"the mesh trusts the root {known} and {self.first.directory} has none: copy root-cert.pem and "
            "root-key.pem of the first replica there"
        )

    def trusted(self, roots: Sequence[x509.Certificate]) -> list[KeyRoom]:
        """The rooms of these roots that are here."""
        found = (self.of(fingerprint(root)) for root in roots)
        return [room for room in found if room is not None]

    def make(self) -> x509.Certificate:
        """Another root. Raises ArtemonError, also when roots are another authority's."""
        if self.first.source is not None:
            self.first.source.make_root()
        room = self.first.beside(self.first.directory / ROOTS / "new")
        root = room.root() if room.has_root() else room.make_root()
        room.directory.rename(room.directory.with_name(fingerprint(root)[:NAME]))
        return root

    def new_of(self, root: str) -> KeyRoom:
        """A room for an intermediate under a root whose key is another replica's."""
        return self.first.beside(self.first.directory / ROOTS / f"{WAITING}{root[:NAME]}")

    def settle(self, room: KeyRoom, root: str) -> None:
        """A room that waited is in use from now on."""
        if room.directory.name.startswith(WAITING):
            room.directory.rename(room.directory.with_name(root[:NAME]))

    def authorities(self) -> list[Authority]:
        """Every intermediate whose key is here, of all roots, in use or not: for revocation lists."""
        found: dict[x509.Certificate, Authority] = {}
        for room in self.every():
            for one in (room.present(), *room.retired()):
                if one is not None:
                    found.setdefault(one.certificate, one)
        return list(found.values())
