"""Builds the Debian packages: `python deploy/deb/build.py --out dist` (`make deb`).

Needs dpkg-deb and uv. The same commit gives the same bytes: times are the commit's, versions are the lock's.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import documents
import environment
from contents import MAINTAINER, PACKAGES, PLATFORMS, PYTHONS, ROOT, SYSTEMD, Package

SCRIPTS = Path(__file__).parent / "scripts"


def main() -> int:
    """Build what is asked for; print the files."""
    parser = argparse.ArgumentParser(description="Build the Debian packages of Artemon.")
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--architecture", choices=sorted(PLATFORMS), default=None)
    parser.add_argument("--revision", default="1", help="Debian's revision of this version.")
    parser.add_argument("--compression", default="xz", choices=["xz", "zstd", "gzip", "none"])
    parser.add_argument("--python", action="append", choices=PYTHONS, help="Only for this version of Python.")
    asked = parser.parse_args()
    if shutil.which("dpkg-deb") is None:
        print("make deb: dpkg-deb is not there: install the package dpkg", file=sys.stderr)
        return 1
    architecture = environment.prepare(asked.architecture)
    asked.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        wheel = environment.build_wheel(scratch)
        version = f"{wheel.name.split('-')[1]}-{asked.revision}"
        for package in PACKAGES:
            root = scratch / package.name
            environment.fill(root, package, wheel, PLATFORMS[architecture], asked.python or PYTHONS)
            _place(root, package)
            documents.write(root, package, version)
            _control(root, package, version, architecture)
            file = asked.out / f"{package.name}_{version}_{architecture}.deb"
            _pack(root, file, asked.compression)
            print(file)
    return 0


def _place(root: Path, package: Package) -> None:
    """Everything beside the Python environment."""
    programs = root / "usr" / "bin"
    programs.mkdir(parents=True)
    for name in package.programs:
        (programs / name).symlink_to(f"..{package.prefix.removeprefix('/usr')}/bin/{name}")
    plugins = root / "usr" / "lib" / "cni"
    for name in package.plugins:
        plugins.mkdir(parents=True, exist_ok=True)
        (plugins / name).symlink_to(f"..{package.prefix.removeprefix('/usr/lib')}/bin/{name}")
    units = root / "usr" / "lib" / "systemd" / "system"
    units.mkdir(parents=True)
    for unit in package.units():
        shutil.copyfile(unit, units / unit.name)
    users = root / "usr" / "lib" / "sysusers.d" / f"{package.name}.conf"
    users.parent.mkdir(parents=True)
    lines = (SYSTEMD / "artemon.sysusers").read_text().splitlines()
    users.write_text("".join(f"{line}\n" for line in lines if line.split()[:2] == ["u", package.user]))
    if package.user == "artemon":
        places = root / "usr" / "lib" / "tmpfiles.d" / f"{package.name}.conf"
        places.parent.mkdir(parents=True)
        shutil.copyfile(SYSTEMD / "artemon.tmpfiles", places)
    else:
        drop_in = root / "usr" / "share" / "doc" / package.name / "examples" / "artemon-proxy-tproxy.conf"
        drop_in.parent.mkdir(parents=True)
        shutil.copyfile(SYSTEMD / "artemon-proxy-tproxy.conf", drop_in)
    (root / "etc" / "artemon").mkdir(parents=True)


def _control(root: Path, package: Package, version: str, architecture: str) -> None:
    folder = root / "DEBIAN"
    folder.mkdir()
    depends = [
        "python3 (>= 3.11)",
        "python3 (<< 3.14)",
        "libc6 (>= 2.31)",
        "libgcc-s1",
        "libstdc++6",
        "zlib1g",
    ]
    depends += ["systemd | systemd-standalone-sysusers", *package.depends]
    files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    size = sum({path.stat().st_ino: path.stat().st_size for path in files}.values()) // 1024
    fields = {
        "Package": package.name,
        "Version": version,
        "Architecture": architecture,
        "Maintainer": MAINTAINER,
        "Installed-Size": str(size),
        "Depends": ", ".join(depends),
        "Recommends": ", ".join(package.recommends),
        "Section": "net",
        "Priority": "optional",
        "Description": package.summary + "".join(f"\n {line}" for line in package.description.splitlines()),
    }
    (folder / "control").write_text("".join(f"{key}: {value}\n" for key, value in fields.items() if value))
    (folder / "triggers").write_text("interest-noawait /usr/bin/python3\n")
    words = {"@PREFIX@": package.prefix, "@NAME@": package.name, "@USER@": package.user}
    words["@UNITS@"] = " ".join(unit.name for unit in package.units())
    for name in ("postinst", "prerm", "postrm"):
        text = (SCRIPTS / f"{package.name}.{name}").read_text()
        for word, value in words.items():
            text = text.replace(word, value)
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)


def _pack(root: Path, file: Path, compression: str) -> None:
    """The .deb; every time in it is the commit's at most."""
    options = ["--root-owner-group", f"-Z{compression}", *(["-z1"] if compression != "none" else [])]
    command = ["dpkg-deb", *options, "--build", str(root), str(file)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
