"""The Python environment that a package carries: one virtual environment for several versions of Python.

`bin/python3` is the machine's own; it looks into `lib/pythonX.Y` of its version. Nothing is compiled on the
target: wheels only, their hashes from the lock. Files that versions have in common are one file with several
names, which tar and dpkg keep.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from contents import ROOT, Package

LOCK = ROOT / "deploy" / "deb" / "requirements.lock"
_CONFIG = "home = /usr/bin\ninclude-system-site-packages = false\n"
_PROGRAM = """#!{prefix}/bin/python3 -I
import os
import sys

os.environ["PYTHONSAFEPATH"] = "1"  # for Python processes that this one starts
from {module}.__main__ import main

sys.exit(main())
"""
_MODULES = {"pilot-agent": "proxyd.pod", "artemon-cni": "proxyd.cni"}
"""Of programs that are not named as their module is."""


def uv(*arguments: str) -> None:
    """Run uv, which comes with the development tools. Exits with what it says."""
    program = Path(sys.executable).with_name("uv")
    subprocess.run([str(program) if program.exists() else "uv", *arguments], check=True)


def prepare(architecture: str | None) -> str:
    """Let times be the commit's and files readable; the architecture to build for, else this machine's."""
    os.environ.setdefault("SOURCE_DATE_EPOCH", _output("git", "-C", str(ROOT), "log", "-1", "--format=%ct"))
    os.umask(0o022)
    return architecture or _output("dpkg", "--print-architecture")


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def build_wheel(out: Path) -> Path:
    """The wheel of this tree."""
    uv("build", "--quiet", "--wheel", "--out-dir", str(out), str(ROOT))
    return next(out.glob("artemon-*.whl"))


def locked(package: Package) -> str:
    """The lock without what the package does without."""
    entries = re.split(r"^(?=\S)", LOCK.read_text(), flags=re.MULTILINE)
    return "".join(one for one in entries if one.partition("==")[0] not in package.leaves_out)


def fill(root: Path, package: Package, wheel: Path, platform: str, pythons: Sequence[str]) -> None:
    """Put the environment of `package` below `root`, for these versions of Python."""
    prefix = root / package.prefix.lstrip("/")
    lock = wheel.with_name(f"{package.name}.lock")
    lock.write_text(locked(package))
    for python in pythons:
        target = prefix / "lib" / f"python{python}" / "site-packages"
        where = ("--target", str(target), "--python-version", python, "--link-mode", "copy", "--no-deps")
        which = ("--python-platform", platform, "--only-binary", ":all:", "--quiet")
        uv("pip", "install", *where, *which, "--require-hashes", "-r", str(lock))
        uv("pip", "install", *where, *which, str(wheel))
        _tidy(target)
    (prefix / "bin").mkdir()
    (prefix / "bin" / "python3").symlink_to("../../../bin/python3")
    (prefix / "pyvenv.cfg").write_text(_CONFIG)
    for name in (*package.programs, *package.plugins):
        program = prefix / "bin" / name
        program.write_text(_PROGRAM.format(prefix=package.prefix, module=_MODULES.get(name, name)))
        program.chmod(0o755)
    _modes(prefix)
    _share(prefix)


def _tidy(target: Path) -> None:
    """Nothing that depends on where and when this was built."""
    for name in ("bin", "test", ".lock"):
        path = target / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for loose in (*target.glob("*requirements.txt"), *target.glob("*.dist-info/direct_url.json")):
        loose.unlink()
    for cache in [*target.rglob("__pycache__")]:
        shutil.rmtree(cache)
    for record in target.glob("*.dist-info/RECORD"):
        lines = record.read_text().splitlines(keepends=True)
        record.write_text("".join(one for one in lines if not one.startswith(("bin/", "test/"))))
    for text in target.glob("*.dist-info/uv_cache.json"):
        text.unlink()


def _modes(prefix: Path) -> None:
    """As Debian has them: all may read, root alone may write; only programs are programs."""
    for path in prefix.rglob("*"):
        if path.is_symlink():
            continue
        program = path.is_dir() or (path.parent.name in {"bin", "_bin"} and path.suffix != ".py")
        path.chmod(0o755 if program else 0o644)


def _share(prefix: Path) -> None:
    """One file for all that are the same, in whatever version's tree."""
    known: dict[bytes, Path] = {}
    for path in sorted(prefix.rglob("*")):
        if path.is_symlink() or not path.is_file() or not path.stat().st_size:
            continue
        content = hashlib.file_digest(path.open("rb"), "sha256").digest()
        first = known.setdefault(content, path)
        if first is not path and first.stat().st_mode == path.stat().st_mode:
            path.unlink()
            os.link(first, path)
