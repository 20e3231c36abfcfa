"""The command `artemon-cni`, which container runtimes start (CNI specification 1.1.0).

`artemon-cni install` puts it on a node.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

from artemon import __version__
from proxyd.cni.protocol import CniError, read, simple

ABOUT = "a plug-in of CNI, which container runtimes start with CNI_COMMAND"
NEEDS_MORE = {"ADD", "CHECK", "STATUS"}


def main() -> None:
    """Answer one call; ends the process: 0, or 1 with an error of CNI on standard output."""
    if "CNI_COMMAND" not in os.environ and sys.argv[1:2] == ["install"]:
        from proxyd.cni.install import install  # the plug-in does without

        install(sys.argv[2:], prog_name="artemon-cni install")
    if "CNI_COMMAND" not in os.environ:
        asked = sys.argv[1:] == ["--version"]
        sys.stdout.write(f"artemon-cni, version {__version__}\n" if asked else f"artemon-cni: {ABOUT}\n")
        sys.exit(0 if asked else 1)
    version = "1.1.0"
    try:
        call = read(os.environ, sys.stdin.read())
        version = call.version
        said = simple(call)
        if call.command in NEEDS_MORE:
            from proxyd.cni.plugin import answer  # takes a second to load, which the others do without

            said = asyncio.run(answer(call))
    except CniError as error:
        json.dump(error.shown(version), sys.stdout)
        sys.exit(1)
    if said is not None:
        json.dump(said, sys.stdout)
    sys.exit(0)


if __name__ == "__main__":
    main()
