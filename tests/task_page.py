"""Pages of docs/tasks as tests: `sh` blocks run in order, `text` blocks are lines of the output before."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

_BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NETWORK = "127.0.92."
"""Where the sample of these tests is."""
PAGES = Path(__file__).parents[1] / "docs" / "tasks"


def run_page(
    name: str,
    folder: Path,
    environment: Mapping[str, str],
    *,
    adapted: Callable[[str], str] = lambda text: text,
    seconds: float = 120,
) -> None:
    """Run the page in `folder`; `adapted` puts the test's addresses in place of the page's. seconds: of one
    block, at most."""
    output = ""
    for kind, text in _BLOCK.findall((PAGES / name).read_text()):
        if kind == "sh":
            began = time.monotonic()
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", adapted(text)],
                cwd=folder, env=dict(environment), capture_output=True, text=True, check=False,
                timeout=seconds,
            )  # fmt: skip
            assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
            output = done.stdout
            told = [line for line in output.splitlines() if " unreachable=" in line]
            print(*text.splitlines()[:1], f"({time.monotonic() - began:.0f} s)", *told, sep="\n  ")  # noqa: T201
        else:
            plain = [" ".join(line.split()) for line in output.splitlines()]
            for line in adapted(text).splitlines():
                wanted = " ".join(line.split())
                assert any(wanted in one for one in plain), f"{wanted!r} is not in\n{output}"
