"""proxyd's entry point."""

from __future__ import annotations

import sys


def main() -> None:
    """Interception alone first: it needs nothing of the rest, is wanted early at boot, and a process of it
    waits while rules are on trial."""
    if sys.argv[1:2] == ["intercept"]:
        from proxyd.intercept.commands import intercept

        intercept(sys.argv[2:], prog_name="proxyd intercept")
    from proxyd.cli import proxyd

    proxyd()


if __name__ == "__main__":
    main()
