"""Which mesh of this machine `meshctl status` and `meshctl down` mean when nobody says."""

from __future__ import annotations

from pathlib import Path

from meshctl.context import config_path, read_config
from meshctl.up.bring import Mesh
from meshctl.up.layout import default_folder

LOCAL = ".artemon"
"""Where `make up` keeps its mesh, below the checkout."""


def located(given: Path | None) -> Path:
    """The folder of the mesh that is meant.

    The one that was given; else, of those that run, the one below the working directory, the default one, the
    one that the current context speaks to. Raises Refused.
    """
    if given is not None:
        return given.absolute()
    usual = default_folder().absolute()
    running = (folder for folder in (Path(LOCAL).absolute(), usual, *_of_context()) if _runs(folder))
    return next(running, usual)


def _runs(folder: Path) -> bool:
    mesh = Mesh.known(folder)
    return mesh is not None and bool(mesh.running)


def _of_context() -> list[Path]:
    config = read_config(config_path())
    place = config.contexts.get(config.current)
    return [Path(place.ca).absolute().parent] if place is not None and place.ca else []
