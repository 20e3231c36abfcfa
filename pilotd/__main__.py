"""The command `pilotd`."""

from __future__ import annotations

from artemon.daemon.run import daemon
from pilotd.app import app
from pilotd.settings import PilotdSettings

main = daemon("pilotd", PilotdSettings, app)

if __name__ == "__main__":
    main()
