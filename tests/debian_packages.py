"""The Debian packages of this tree, and machines that have nothing of ours but what comes by them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from netns import ROOT
from servers import find_envoy_before
from systemd_machine import SystemdMachine, hide

BUILD = ROOT / "deploy" / "deb" / "build.py"
PYTHON = "/usr/bin/python3"
PLACE = "/opt/packages"
UNRELATED = (
    *("var/log/", "var/lib/dpkg/", "var/lib/apt/", "var/cache/", "var/lib/systemd/"),
    *("opt/packages/", "root/.ansible/", "etc/.pwd.lock", "var/lib/PackageKit/"),
)
TOLD_BY_APT = {"packagekitd", "polkitd"}
"""Whom apt calls, where they are installed."""
USERS = ("passwd", "group", "shadow", "gshadow")
ACCOUNTS = {f"etc/{name}{end}" for name in (*USERS, "subuid", "subgid") for end in ("", "-")}
"""Whose content is compared, and their backups."""


def missing_debian() -> str:
    """Why packages cannot be built and installed here; empty when they can."""
    if shutil.which("dpkg-deb") is None or not Path("/var/lib/dpkg/status").exists():
        return "needs Debian or Ubuntu (dpkg)"
    asked = "import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))"
    found = subprocess.run([PYTHON, "-c", asked], check=False).returncode if Path(PYTHON).exists() else 1
    return f"needs {PYTHON} of 3.11 to 3.13" if found else ""


def build(folder: Path) -> tuple[Path, Path]:
    """The packages of the daemons and of the proxy, for this machine's Python alone."""
    asked = "import sys; print('%d.%d' % sys.version_info[:2])"
    python = subprocess.run([PYTHON, "-c", asked], check=True, capture_output=True, text=True).stdout.strip()
    command = [sys.executable, str(BUILD), "--out", str(folder), "--python", python, "--compression", "none"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    daemons, proxy = sorted(map(Path, done.stdout.split()), key=lambda one: "proxy" in one.name)
    return daemons, proxy


def newer(package: Path, folder: Path) -> Path:
    """The same package as its next revision, with another Envoy where it has one."""
    tree = folder / package.stem
    subprocess.run(["dpkg-deb", "-R", str(package), str(tree)], check=True)
    control = tree / "DEBIAN" / "control"
    text = control.read_text()
    assert "-1\n" in text
    control.write_text(text.replace("-1\n", "-2\n", 1))
    for envoy in tree.glob("usr/lib/*/lib/*/site-packages/envoy/_bin/envoy"):
        if before := find_envoy_before():
            shutil.copyfile(before, envoy)
        else:
            envoy.write_bytes(envoy.read_bytes() + b"another build")
    file = folder / package.name.replace("-1_", "-2_")
    subprocess.run(["dpkg-deb", "-Znone", "-b", str(tree), str(file)], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(tree)
    return file


class BareMachine(SystemdMachine):
    """A machine of systemd with nothing of ours."""

    def _install(self, up: Path, etc: Path) -> None:
        """Nothing, and nothing of what somebody uses on this very machine."""
        if Path("/root/.config/artemon").exists():
            hidden = up / "root" / ".config" / "artemon"
            hidden.parent.mkdir(parents=True)
            (up / "root").chmod(0o700)
            hide(hidden)

    def place(self, packages: Iterable[Path]) -> None:
        """Before it boots: files to install from."""
        place = self.folder / "up" / PLACE.lstrip("/")
        place.mkdir(parents=True)
        for package in packages:
            shutil.copy(package, place)

    def _booted(self) -> None:
        """There is nothing to prepare."""

    def install(self, *packages: Path) -> str:
        """What dpkg says; it must succeed."""
        files = [f"{PLACE}/{one.name}" for one in packages]
        done = self.run("dpkg", "--force-unsafe-io", "--install", *files, seconds=7200)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def traces(self) -> dict[str, object]:
        """All that installing, joining and running may leave behind."""
        up = self.folder / "up"
        here = (path for path in up.rglob("*") if not path.is_char_device())  # hidden is not there
        everything = (path for path in here if not path.is_dir() and path.suffix != ".wants")
        files = {str(path.relative_to(up)) for path in everything}
        kept = {one for one in files if not one.startswith(UNRELATED)} - ACCOUNTS
        return {
            "files": sorted(one for one in kept if "__pycache__" not in one or "artemon" in one),
            "users": self.check("cat", *(f"/etc/{name}" for name in USERS)),
            "processes": sorted(set(self.check("ps", "-eo", "comm=").split()) - TOLD_BY_APT),
            "rules": self.check("nft", "list", "ruleset"),
            "addresses": self.check("ip", "-o", "addr", "show", "dev", "lo"),
            "units": self.run("systemctl", "list-unit-files", "--no-legend", "artemon*").stdout,
            "runtime": self.run("ls", "-d", "/run/artemon", "/etc/artemon", "/var/lib/artemon").stdout,
        }
