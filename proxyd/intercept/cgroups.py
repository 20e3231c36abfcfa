"""Control groups (cgroups(7), version 2) that tell services of one user apart.

Rules know a group by its number, and one that is made anew has another: a service's own is new with each
start, a slice of systemd stays while services in it come and go.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from artemon.errors import ArtemonError
from proxyd import systemd

MOUNTED = Path("/sys/fs/cgroup")
SECONDS = 20
SLICE = ".slice"
SHORT_LIVED = (".service", ".scope", ".socket", ".mount", ".swap")
"""Units of systemd whose groups are made anew with each start (systemd.resource-control(5))."""
_NAME = re.compile(r"[A-Za-z0-9:_.\\]+(-[A-Za-z0-9:_.\\]+)*\.slice")
_PATH = re.compile(r"(/[A-Za-z0-9:_.\\@-]+)+")
_BY_NUMBER = re.compile(r"socket cgroupv2 level \d+ \d")
"""How nft lists a group that is no more."""


def path_of(name: str) -> str:
    """Below the root of all groups. name: of a slice, or a path from the root. Raises ValueError."""
    if name.endswith(SHORT_LIVED):
        raise ValueError(
            f'"{name}" is made anew with each start: give the service a slice of its own (Slice= in its unit)'
        )
    if _PATH.fullmatch(name) and not {".", ".."} & set(name.split("/")):
        return name[1:]
    if not _NAME.fullmatch(name):
        raise ValueError(f'"{name}" is not a slice such as shop-cart.slice, or a path such as /shop/cart')
    words = name.removesuffix(SLICE).split("-")
    return "/".join("-".join(words[:count]) + SLICE for count in range(1, len(words) + 1))


def overlap(some: Iterable[str], others: Iterable[str]) -> Iterator[str]:
    """Those of `some` that are one of the others, in one of them, or around one."""
    known = [f"{one}/" for one in others]
    return (
        one for one in some if any(f"{one}/".startswith(two) or two.startswith(f"{one}/") for two in known)
    )


def troubles(paths: Iterable[str], *, nft: bool) -> Iterator[str]:
    """Why connections of these groups cannot be told from others."""
    if not (MOUNTED / "cgroup.controllers").exists():
        yield (
            f"include_cgroups: control groups of version 2 are not at {MOUNTED}: tell services apart by user,"
            " or start the machine with systemd.unified_cgroup_hierarchy=1"
        )
        return
    for path in paths:
        if not (MOUNTED / path).is_dir():
            start = f"first start the service with Slice={path.rpartition('/')[2]}"
            yield f"include_cgroups: {MOUNTED / path} is not there: {start}"
        elif not _is_matched(path, nft=nft):
            tool = "nft's `socket cgroupv2`" if nft else "iptables' `-m cgroup --path`"
            yield f"include_cgroups: {tool} does not work here: tell services apart by user"


def _is_matched(path: str, *, nft: bool) -> bool:
    """Whether the kernel takes such a rule; none is made."""
    if nft:
        command = ["nft", "--check", "--file", "-"]
        rules = f"type nat hook output priority 0; {matched(path)} return;"
        script = f"table inet artemon_check {{ chain out {{ {rules} }}; }}\n"
    else:
        command = ["iptables-restore", "--test", "--noflush"]
        script = f"*nat\n-A OUTPUT -m cgroup --path {path} -j RETURN\nCOMMIT\n"
    done = _run(command, script)
    return done is not None and done.returncode == 0


def matched(path: str) -> str:
    """The condition of nft that a socket is of this group, or of one in it."""
    return f'socket cgroupv2 level {path.count("/") + 1} "{path}"'


def _run(command: list[str], content: str = "") -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(
            command, input=content, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


def make(paths: Iterable[str]) -> None:
    """Have these groups, as a machine starts and nothing runs in them yet. Raises ArtemonError."""
    for path in paths:
        name = path.rpartition("/")[2]
        if (MOUNTED / path).is_dir():
            continue
        if systemd.RUNNING.is_dir() and name.endswith(SLICE):
            done = _run(["systemctl", "start", name])
            if done is None or done.returncode != 0:
                said = " ".join(done.stderr.split()) if done else "does not answer"
                raise ArtemonError(f"systemctl start {name}: {said}")
            continue
        try:
            (MOUNTED / path).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArtemonError(f"{MOUNTED / path} cannot be made: {error.strerror}") from error


def is_stale(table: str) -> bool:
    """Whether rules are there for a group that is no more. table: as nft lists it."""
    return _BY_NUMBER.search(table) is not None
