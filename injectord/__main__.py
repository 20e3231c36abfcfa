"""The command `injectord`."""

from __future__ import annotations

from artemon.daemon.run import daemon
from injectord.app import app
from injectord.settings import InjectorSettings

main = daemon("injectord", InjectorSettings, app)


if __name__ == "__main__":
    main()
