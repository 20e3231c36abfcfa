"""A stream of xDS messages, whatever carries it, and how it is ended."""

from __future__ import annotations

from typing import Protocol

from artemon.errors import ArtemonError
from artemon.pki.spiffe import SpiffeId


class Ended(ArtemonError):
    """The stream is ended by us. status: name of a gRPC status code."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Stream(Protocol):
    """Messages of one client in both directions. peer: who it is by its certificate, serial: of that; None:
    plaintext."""

    @property
    def peer(self) -> SpiffeId | None: ...

    @property
    def serial(self) -> int | None: ...

    async def read(self) -> bytes | None:
        """The next message; None at the end of the stream."""

    async def write(self, data: bytes) -> None:
        """Hand a message over; waits while the client is slow."""
