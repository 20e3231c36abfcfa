"""Fuzzes parsers with atheris (coverage-guided, libFuzzer's options):

python tests/fuzz/campaign.py TARGET|all [-max_total_time=60] [-runs=N] [FILE|FOLDER...]

A finding ends it with a traceback and a file `crash-...`; give that file as argument to see it again. `all`
goes through the targets, one process each, and names those that found something.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(
    include=["artemon", "citadeld", "galleyd", "injectord", "mixerd", "pilotd", "proxyd"]
):
    from targets import TARGETS

SLOWEST = 10
"""Seconds that one input may take."""
LARGEST = 4096
MEGABYTES = 1024


def main(arguments: list[str]) -> int:
    """Fuzz the named target, or all; how many found something."""
    name, more = (arguments or [""])[0], arguments[1:]
    if name not in {*TARGETS, "all"}:
        sys.stderr.write(f"name one of: all, {', '.join(TARGETS)}\n")
        return 2
    if name != "all":
        fuzz(name, more)
    found = [one for one in TARGETS if name == "all" and not _in_a_process(one, more)]
    sys.stderr.write(f"findings: {', '.join(found) or 'none'} in {len(TARGETS)} targets\n")
    return len(found)


def fuzz(name: str, more: list[str]) -> None:
    """Fuzz one target; libFuzzer ends the process."""
    target = TARGETS[name]
    limits = [f"-timeout={SLOWEST}", f"-max_len={LARGEST}", f"-rss_limit_mb={MEGABYTES}"]
    folder = Path(tempfile.mkdtemp(prefix=f"artemon-fuzz-{name}-"))
    for number, seed in enumerate(target.seeds):
        (folder / f"seed-{number}").write_bytes(seed)
    again = any(not one.startswith("-") and Path(one).is_file() for one in more)
    atheris.Setup([sys.argv[0], *limits, *more, *([] if again else [str(folder)])], target.run)
    atheris.Fuzz()


def _in_a_process(name: str, more: list[str]) -> bool:
    """Whether nothing was found. A fork: what was instrumented once is instrumented for all."""
    sys.stderr.write(f"== {name}\n")
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        fuzz(name, more)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
