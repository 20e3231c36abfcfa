"""A copy of what runs the plug-in, for machines that have nothing of it.

The interpreter, its library, the packages, `nft` and `ip`, with their shared libraries and their loader: a
container runtime starts the plug-in on the node, not in our image.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from functools import cache
from hashlib import sha256
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

import artemon
import proxyd
from artemon.errors import ArtemonError

TOOLS: Final = ("nft", "ip")
PLACES: Final = ("/usr/sbin", "/usr/bin", "/sbin", "/bin")
LAUNCHER = """#!/bin/sh
export PYTHONHOME={tree}/python PYTHONPATH={tree}/packages PATH={tree}/bin:/usr/sbin:/usr/bin:/sbin:/bin
exec {tree}/lib/loader --library-path {tree}/lib --argv0 {tree}/bin/{name} {tree}/programs/{name} "$@"
"""
PLUGIN = """#!/bin/sh
exec {tree}/bin/python3 -P -m proxyd.cni "$@"
"""
_LEFT_OUT = ("test", "tests", "idlelib", "tkinter", "ensurepip", "*-packages", "__pycache__")
_LARGE = 32 * 1024**2
"""Bytes of a file that is no part of a plug-in, as Envoy is."""
_OURS = (artemon, proxyd)


@cache
def fingerprint() -> str:
    """Of our code as it is: another release has another copy."""
    mark = sha256(sys.version.encode())
    for package in _OURS:
        for file in sorted(Path(package.__path__[0]).rglob("*.py")):
            mark.update(file.read_bytes())
    return mark.hexdigest()[:16]


def make(tree: Path, at: Path) -> None:
    """Make the copy in `tree`, which the node will find at `at`. Raises ArtemonError, OSError."""
    library = Path(sysconfig.get_path("stdlib"))
    programs = {"python3": Path(sys.executable).resolve(), **{name: _tool(name) for name in TOOLS}}
    for name in ("bin", "lib", "programs"):
        (tree / name).mkdir(parents=True)
    target = tree / "python" / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    shutil.copytree(library, target, ignore=shutil.ignore_patterns(*_LEFT_OUT), symlinks=True)
    _packages(tree / "packages")
    for name, program in programs.items():
        _program(tree / "programs" / name, program)
        (tree / "bin" / name).write_text(LAUNCHER.format(tree=at, name=name))
        (tree / "bin" / name).chmod(0o755)
    loader = _loader(programs["python3"])
    modules = [*target.rglob("*.so"), *(tree / "packages").rglob("*.so*")]
    for one in {*_libraries(loader, [*programs.values(), *modules])}:
        shutil.copyfile(one, tree / "lib" / one.name)
    _program(tree / "lib" / "loader", loader)


def _program(target: Path, source: Path) -> None:
    shutil.copyfile(source, target)
    target.chmod(0o755)


def _packages(target: Path) -> None:
    """Ours, and what they need."""
    for package in _OURS:
        place = Path(package.__path__[0])
        shutil.copytree(place, target / place.name, ignore=shutil.ignore_patterns("__pycache__"))
    for one in _needed(artemon.__name__):
        for file in one.files or ():
            source = Path(str(file.locate()))
            if ".." in file.parts or not source.is_file() or source.stat().st_size > _LARGE:
                continue
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target / file)


def _needed(name: str) -> list[Distribution]:
    """The distributions that one needs, without itself."""
    found: dict[str, Distribution] = {}
    asked = [name]
    while asked:
        for line in distribution(asked.pop()).requires or ():
            written = re.match(r"[A-Za-z0-9._-]+", line)
            if written is None or "extra ==" in line or written[0].lower() in found:
                continue
            try:
                found[written[0].lower()] = distribution(written[0])
            except PackageNotFoundError:  # for another platform, or another version of Python
                continue
            asked.append(written[0])
    return list(found.values())


def _tool(name: str) -> Path:
    found = next((Path(place) / name for place in PLACES if (Path(place) / name).is_file()), None)
    if found is None:
        raise ArtemonError(f"{name}: is in none of {', '.join(PLACES)}")
    return found.resolve()


def _loader(program: Path) -> Path:
    """What the kernel starts for a program (its PT_INTERP), which finds the shared libraries."""
    found = re.search(rb"/[\w./-]*/ld-linux[\w.-]*\.so\.\d", program.read_bytes()[:8192])
    if found is None:
        raise ArtemonError(f"{program}: names no loader of the GNU C library")
    return Path(found[0].decode()).resolve()


def _libraries(loader: Path, programs: Iterable[Path]) -> Iterator[Path]:
    """What the loader finds for them."""
    for program in programs:
        command = [str(loader), "--list", str(program)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        for line in done.stdout.splitlines():
            name, arrow, rest = line.strip().partition(" => ")
            path = rest.split(" (")[0]
            if arrow and path.startswith("/") and not name.startswith("/"):
                yield Path(path)
