"""The command `galleyd`."""

from __future__ import annotations

from artemon.daemon.run import daemon
from galleyd.app import app
from galleyd.settings import GalleySettings

main = daemon("galleyd", GalleySettings, app)


if __name__ == "__main__":
    main()
