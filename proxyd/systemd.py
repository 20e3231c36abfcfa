"""Whether systemd is there for us."""

from __future__ import annotations

import os
from pathlib import Path

RUNNING = Path("/run/systemd/system")
"""Is there where systemd is the first process (sd_booted(3))."""


def is_ours() -> bool:
    """Whether systemd runs this machine, and in the network that we see."""
    try:
        same = os.readlink("/proc/1/ns/net") == os.readlink("/proc/self/ns/net")
    except OSError:
        return False
    return same and RUNNING.is_dir()
