"""The time of day of single processes, moved while they run.

A time namespace cannot do it (time_namespaces(7): only monotonic clocks have offsets), and the clock of the
machine belongs to everybody. So functions of libc are replaced, for a process with all of its libraries.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("clock_jump.c")
NAME = "clock-offset"


def build_clock(folder: Path) -> Path:
    """The library, compiled. Skips where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler: the clock of a process cannot be moved")
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / "clock_jump.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(made), str(SOURCE)], check=True)
    return made


def clock_environ(library: Path, folder: Path) -> dict[str, str]:
    """What a process needs whose offset lies in `folder`."""
    set_clock(folder, 0)
    return {"LD_PRELOAD": str(library), "CLOCK_OFFSET_FILE": str(folder / NAME)}


def set_clock(folder: Path, seconds: float) -> None:
    """Move the time of day of the process whose offset lies in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / NAME
    with file.open("r+b" if file.exists() else "w+b") as opened:  # it is mapped: the same file, always
        opened.write(struct.pack("=q", round(seconds * 1e9)))
