"""citadeld's entry point."""

from __future__ import annotations

from artemon.daemon.run import daemon
from citadeld.app import citadeld
from citadeld.cli import check_audit, init, token
from citadeld.settings import CitadelSettings

main = daemon("citadeld", CitadelSettings, citadeld, commands=(init, token, check_audit))

if __name__ == "__main__":
    main()
