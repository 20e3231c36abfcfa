"""The command `injectord`."""

from __future__ import annotations

from artemon.daemon.run import daemon
from injectord.app import app
from injectord.settings import InjectorSettings


def main() -> None:
    """Run injectord."""
    daemon("injectord", InjectorSettings, app)()


if __name__ == "__main__":
    main()
