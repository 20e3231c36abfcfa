"""Control groups of version 2 for tests, wherever this machine has them mounted."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

MOUNTED = Path("/sys/fs/cgroup")
_MOUNT = 'mount --make-rprivate / && mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"'
_ENTER = 'echo $$ > "$1/cgroup.procs" && shift && exec "$@"'


def _is_unified() -> bool:
    return (MOUNTED / "cgroup.controllers").exists()


def top() -> Path:
    """Where they are here."""
    return MOUNTED if _is_unified() else MOUNTED / "unified"


def missing_groups() -> str:
    """Why there are none; empty when there are."""
    if not (top() / "cgroup.controllers").exists():
        return "needs control groups of version 2"
    return "" if os.access(top(), os.W_OK) else "needs control groups that can be written to"


def seen(*command: str) -> list[str]:
    """`command` where they are mounted as on a machine that has nothing else."""
    return list(command) if _is_unified() else ["unshare", "--mount", "sh", "-c", _MOUNT, "sh", *command]


def inside(path: str, *command: str) -> list[str]:
    """`command` in this group."""
    return ["sh", "-c", _ENTER, "sh", str(top() / path), *command]


@contextlib.contextmanager
def groups(*paths: str) -> Iterator[None]:
    """These are there, and what they are in."""
    try:
        for path in paths:
            (top() / path).mkdir(parents=True)
        yield
    finally:
        for path in paths:
            subprocess.run(
                ["rmdir", "-p", "--ignore-fail-on-non-empty", path],
                cwd=top(),
                check=False,
                capture_output=True,
            )
