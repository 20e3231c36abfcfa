"""Processes on this machine (`unix:`): whoever connects to citadeld's socket for attestation. Facts: `uid`,
`user`, `gid`, `group` (all of them), `path` of the program, and `unit`, the unit of systemd that it runs in.
"""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from artemon.daemon.peers import Peer
from citadeld.attestors.api import Attested, Attestor, AttestorSettings, Evidence, Facts, Surroundings
from citadeld.decision import Denied, Method, Reason

MAX_GROUPS = 64
_UNITS = (".service", ".scope")
_CGROUP = re.compile(r"0::|\d+:name=systemd:")


@dataclass(frozen=True, slots=True)
class UnixAttestor:
    """Judges processes. proc: where they can be looked at."""

    proc: Path = Path("/proc")
    doors: tuple[Method, ...] = ("peer",)
    roots: bytes = b""

    def takes(self, evidence: Evidence) -> bool:
        return evidence.peer is not None

    async def attest(self, evidence: Evidence) -> Attested:
        assert evidence.peer is not None
        peer = evidence.peer
        found = await asyncio.to_thread(facts_of, peer, self.proc)
        if not peer.is_alive():
            raise Denied(Reason.NOT_AUTHENTICATED, "the process that asked has ended meanwhile")
        return Attested(f"pid {peer.pid} of uid {peer.uid}", facts=found)

    async def run(self) -> None:
        return


def facts_of(peer: Peer, proc: Path) -> Facts:
    """What the kernel says of a process; what it does not let us see is no fact."""
    folder = proc / str(peer.pid)
    gids = list(dict.fromkeys([peer.gid, *_supplementary(_text(folder / "status"), peer.uid)]))[:MAX_GROUPS]
    found = {
        "uid": (str(peer.uid),),
        "gid": tuple(map(str, gids)),
        "user": tuple(_names([peer.uid], lambda uid: pwd.getpwuid(uid).pw_name)),
        "group": tuple(_names(gids, lambda gid: grp.getgrgid(gid).gr_name)),
        "path": _program(folder / "exe"),
        "unit": unit_of(_text(folder / "cgroup")),
    }
    return {name: values for name, values in found.items() if values}


def _names(ids: Iterable[int], name: Callable[[int], str]) -> Iterator[str]:
    for one in ids:
        with suppress(KeyError):
            yield name(one)


def _supplementary(status: str, uid: int) -> list[int]:
    """The groups of a process, if it is still that user's."""
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    if str(uid) not in fields.get("Uid", "").split()[:2]:
        return []
    return [int(gid) for gid in fields.get("Groups", "").split()]


def _program(link: Path) -> tuple[str, ...]:
    """The path of a program, if that path leads to it here as well: a process may see other files by it."""
    try:
        path, itself = os.readlink(link), link.stat()
        here = Path(path).stat()
    except OSError:
        return ()
    same = (here.st_dev, here.st_ino) == (itself.st_dev, itself.st_ino)
    return (path,) if same and path.isprintable() else ()


def unit_of(cgroup: str) -> tuple[str, ...]:
    """The unit out of /proc/<pid>/cgroup: the first part of the path that is no slice. What runs below it
    (the units of a user's own manager) is named by whoever it belongs to, and is no fact."""
    paths = [line.split(":", 2)[2] for line in cgroup.splitlines() if _CGROUP.match(line)]
    for path in paths:
        for part in path.strip("/").split("/"):
            if part.endswith(".slice"):
                continue
            if part.endswith(_UNITS) and part.isprintable():
                return (part,)
            break
    return ()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


class _Unix:
    settings = AttestorSettings

    def open(self, address: str, settings: AttestorSettings, around: Surroundings) -> Attestor:
        return UnixAttestor()


plugin = _Unix()
