"""Registries: sources of services that pilotd runs beside the mesh's own records. docs/operate/catalog.md.

A registry tells a sink what there is. It never empties anything by itself: what an outage hides stays, and
what vanished in numbers is held by the sink (`artemon.registry.view`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

from artemon.registry.exports import Exporter
from artemon.snapshot.services import REGISTERED, Source

GROUP = "artemon.registries"


class RegistrySettings(BaseModel):
    """What every registry can be told, in the query of its URL."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        "", pattern="^[a-z0-9-]{0,40}$", description="Name of the registry; its scheme when empty."
    )
    precedence: int = Field(
        0,
        ge=0,
        le=99,
        description="Where registries know the same host: the smaller decides, equal ones add to each other.",
    )
    required: bool = Field(
        True,
        description="Whether pilotd serves nobody before this registry was read once, or its saved view.",
    )
    hold: float = Field(300.0, ge=0, description="Seconds that a mass removal is held.")

    @property
    def rank(self) -> int:
        """See `Source.rank`."""
        return REGISTERED + self.precedence

    @property
    def created(self) -> str:
        """The age of its services: younger than everything that users wrote, so that it yields to that."""
        return f"9999-12-31T00:00:{self.precedence:02}Z"


class Sink(Protocol):
    """What a registry is told to fill. Every method is synchronous and may be called at any time.

    proven: the registry has said, as of now and with authority, that what is missing was taken out.
    doubted: it may not see all that it saw before, or be another one: whatever is missing is held.
    """

    def replace(self, sources: Iterable[Source], *, proven: bool, doubted: bool = False) -> None:
        """These are all services that there are."""

    def update(
        self,
        sources: Iterable[Source],
        gone: Iterable[str] = (),
        *,
        proven: bool,
        doubted: bool = False,
    ) -> None:
        """These services are new or different, and those with the ids `gone` are gone."""

    def alive(self) -> None:
        """What was told is surely true as of now."""

    def trouble(self, reason: str) -> None:
        """The registry cannot be read, or not wholly; what was told stands and grows old."""


class Registry(Protocol):
    """One source of services. The ids of its sources begin with `registry/<name>/`."""

    async def run(self, sink: Sink) -> None:
        """Tell `sink` what there is until cancelled, whatever happens to the server. Raises ArtemonError for
        what only an operator can mend; it is run again after a while."""


class Plugin(Protocol):
    """A kind of registry. settings: its frozen class of settings, which stand in the URL's query."""

    settings: type[RegistrySettings]

    def open(self, url: str, settings: RegistrySettings) -> Registry:
        """The registry at `url`, whose query has been read into `settings` (its name filled in). Reads files,
        connects to nothing. Raises StoreError."""


class RemotePlugin(Plugin, Protocol):
    """A kind of registry that can tell of further ones."""

    def remotes(
        self, url: str, settings: RegistrySettings, said: Callable[[str], None]
    ) -> AsyncIterator[tuple[Any, ...]] | None:
        """All further registries (`artemon.registry.open.Opened`) whenever they change, until cancelled; None
        where the settings ask for none. said: told what is wrong with them."""


class ExportingPlugin(Plugin, Protocol):
    """A kind of registry that can also be shown the services of the mesh."""

    def exporter(self, url: str, settings: RegistrySettings, mesh: str) -> Exporter | None:
        """What shows the services of `mesh` there; None where the settings ask for none."""
