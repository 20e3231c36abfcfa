"""proxyd's entry point."""

from __future__ import annotations

from artemon.daemon.run import daemon
from proxyd.app import app
from proxyd.cli import join, run, status
from proxyd.intercept.commands import intercept
from proxyd.settings import ProxydSettings

main = daemon("proxyd", ProxydSettings, app, commands=(run, join, status, intercept))

if __name__ == "__main__":
    main()
