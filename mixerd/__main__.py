"""The command `mixerd`."""

from __future__ import annotations

from artemon.daemon.run import daemon
from mixerd.app import app
from mixerd.settings import MixerSettings

main = daemon("mixerd", MixerSettings, app)


if __name__ == "__main__":
    main()
