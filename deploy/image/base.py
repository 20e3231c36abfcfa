"""The lowest layer: what Python, nftables and routing tables need of Debian, and nothing to log in with.

They are unpacked, not installed: none of their scripts runs.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path

WANTED = (
    "base-files",
    "ca-certificates",
    "iproute2",
    "libstdc++6",
    "netbase",
    "nftables",
    "python3",
    "tzdata",
)
LEFT_OUT = frozenset({"debconf", "dpkg", "tar", "mawk", "gcc-12-base", "openssl"})
"""Needed only by scripts that do not run here."""
MERGED = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
USER, GROUP = 1337, "artemon-proxy"
ACCOUNTS = {
    "passwd": f"root:x:0:0:root:/root:/usr/sbin/nologin\n{GROUP}:x:{USER}:{USER}::/:/usr/sbin/nologin\n",
    "group": f"root:x:0:\n{GROUP}:x:{USER}:\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
OWN = ("etc/istio/proxy", "var/lib/istio/data", "var/lib/artemon", "run/artemon", "tmp")
"""What the user may write, where nothing is mounted over it."""
UNUSED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/lintian", "usr/share/info")


def fill(root: Path, architecture: str) -> str:
    """Put the packages below `root`; the version of Python in it, as `3.11`. Exits with apt's reason."""
    for name, target in MERGED.items():
        (root / target).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(target)
    with tempfile.TemporaryDirectory() as name:
        packages = _download(Path(name), architecture)
        for package in packages:
            _unpack(package, root)
        found = next(one for one in packages if one.name.startswith("python3_"))
    _authorities(root)
    for file, text in ACCOUNTS.items():
        (root / "etc" / file).write_text(text)
    for place in OWN:
        (root / place).mkdir(parents=True, exist_ok=True)
    version = re.match(r"python3_(\d+\.\d+)", found.name)
    assert version
    return version[1]


def _download(folder: Path, architecture: str) -> list[Path]:
    """The packages and what they need, of the Debian release that this machine has, as on an empty one."""
    archives = folder / "archives"
    (archives / "partial").mkdir(parents=True)
    (folder / "status").touch()
    options = {
        "Dir::State::status": folder / "status",
        "Dir::Cache::archives": archives,
        "APT::Sandbox::User": "root",
        "APT::Architecture": architecture,
        "APT::Install-Recommends": "false",
        "Debug::NoLocking": "1",
    }
    flags = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    command = ["apt-get", "-qq", "-y", *flags, "--download-only", "install", *WANTED]
    subprocess.run(command, check=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    found = sorted(archives.glob("*.deb"))
    return [one for one in found if one.name.partition("_")[0] not in LEFT_OUT]


def _unpack(package: Path, root: Path) -> None:
    """Its files, and its control file where scanners of images look for it (as in distroless images)."""
    content = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(package)], check=True, capture_output=True)
    unused = [f"--exclude=./{place}/*" for place in UNUSED]
    keep = ["--keep-directory-symlink", "--no-same-owner", *unused]
    subprocess.run(["tar", "-x", "-C", str(root), *keep], input=content.stdout, check=True)
    control = subprocess.run(
        ["dpkg-deb", "--field", str(package)], check=True, capture_output=True, text=True
    )
    place = root / "var" / "lib" / "dpkg" / "status.d"
    place.mkdir(parents=True, exist_ok=True)
    (place / package.name.partition("_")[0]).write_text(control.stdout)


def _authorities(root: Path) -> None:
    """What update-ca-certificates writes."""
    found = sorted((root / "usr" / "share" / "ca-certificates").rglob("*.crt"))
    folder = root / "etc" / "ssl" / "certs"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ca-certificates.crt").write_text("".join(one.read_text() for one in found))


def packages(root: Path) -> dict[str, str]:
    """Name -> version of what was unpacked."""
    made = {}
    for control in sorted((root / "var" / "lib" / "dpkg" / "status.d").iterdir()):
        fields = dict(re.findall(r"^(Package|Version): (.*)$", control.read_text(), flags=re.MULTILINE))
        made[fields["Package"]] = fields["Version"]
    return made
