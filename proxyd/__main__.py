"""The command `proxyd`."""

from __future__ import annotations

from artemon.daemon.run import daemon
from proxyd.app import app
from proxyd.settings import ProxydSettings


def main() -> None:
    """Run the command line."""
    daemon("proxyd", ProxydSettings, app)()


if __name__ == "__main__":
    main()
