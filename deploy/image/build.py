"""Builds the image of all daemons and the proxy: `python deploy/image/build.py --out dist` (`make image`).

Needs apt, dpkg-deb and uv, and neither root nor a Docker daemon. The same commit, lock and Debian release
give the same bytes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "deb"))
import base
import environment
import sbom
from contents import DAEMONS, PLATFORMS, PROXY, ROOT, Package
from layout import Image

IMAGE = Package(
    "artemon",
    "service mesh: every daemon, the proxy and Envoy",
    "",
    (*DAEMONS.programs, *PROXY.programs, *PROXY.plugins),
    base.GROUP,
)
ENTRYPOINT = ["pilot-agent"]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
PORTS = (15001, 15006, 15012, 15013, 15014, 15017, 15020, 15021, 15090)
OURS = ("artemon", "pilotd", "citadeld", "galleyd", "injectord", "mixerd", "proxyd", "meshctl")


def main() -> int:
    """Build it; print the file and the image's digest."""
    parser = argparse.ArgumentParser(description="Build the OCI image of Artemon.")
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--architecture", choices=sorted(PLATFORMS), default=None)
    parser.add_argument("--root", type=Path, help="Leave the tree here, and write no image (Containerfile).")
    parser.add_argument("--quick", action="store_true", help="Nothing compressed or compiled.")
    asked = parser.parse_args()
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            print(f"make image: {tool} is not there: this needs Debian or Ubuntu", file=sys.stderr)
            return 1
    architecture = environment.prepare(asked.architecture)
    asked.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        wheel = environment.build_wheel(scratch)
        version = wheel.name.split("-")[1]
        image = _image(asked.root or scratch / "root", wheel, architecture, version, quick=asked.quick)
        if asked.root:
            return 0
        file = asked.out / f"artemon-{version}-{architecture}.oci.tar"
        print(file, image.write(file, version))
    return 0


def _image(root: Path, wheel: Path, architecture: str, version: str, *, quick: bool) -> Image:
    """Three layers: Debian's, the libraries with Envoy, and what changes with every commit."""
    root.mkdir(parents=True, exist_ok=True)
    python = base.fill(root, architecture)
    lowest = set(root.rglob("*"))
    environment.fill(root, IMAGE, wheel, PLATFORMS[architecture], [python])
    packages = root / IMAGE.prefix.lstrip("/") / "lib" / f"python{python}" / "site-packages"
    for name in IMAGE.programs:
        (root / "usr" / "bin" / name).symlink_to(f"..{IMAGE.prefix.removeprefix('/usr')}/bin/{name}")
    if not quick:
        _compile(root, python)
    text = sbom.describe(IMAGE, version, [packages], kind="oci", debian=base.packages(root))
    about = root / "usr" / "share" / "doc" / "artemon"
    about.mkdir(parents=True)
    (about / sbom.FILE).write_text(text)
    shutil.copyfile(ROOT / "LICENSE", about / "LICENSE")
    everything = set(root.rglob("*"))
    lowest = {one for one in everything if one in lowest or root / "usr/lib/python3" in one.parents}
    ours = {one for one in everything - lowest if _is_ours(one, packages)}
    image = Image(
        architecture,
        int(os.environ["SOURCE_DATE_EPOCH"]),
        _config(),
        _annotations(version),
        compress=not quick,
    )
    image.add(root, lowest, "Debian: " + " ".join(base.WANTED), _owner)
    image.add(root, everything - lowest - ours, "Python packages of the lock, and Envoy", _owner)
    image.add(root, ours, f"artemon {version}", _owner)
    return image


def _is_ours(path: Path, packages: Path) -> bool:
    if packages not in path.parents:
        return packages not in (path, *path.parents) and path not in packages.parents
    top = path.relative_to(packages).parts[0]
    return top in OURS or top.startswith("artemon-")


def _owner(name: str) -> int:
    return base.USER if name in base.OWN else 0


def _compile(root: Path, python: str) -> None:
    """As the image's own Python does, which reads it without asking for times: its root is not written."""
    loader = next(iter(sorted((root / "usr").glob("lib*/**/ld-linux-*.so.*"))))
    libraries = ":".join(str(one) for one in (root / "usr" / "lib").glob("*-linux-gnu"))
    command = [str(loader), "--library-path", libraries, str(root / "usr" / "bin" / f"python{python}")]
    how = ("-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "-s", str(root))
    places = (str(root / IMAGE.prefix.lstrip("/")), str(root / "usr" / "lib" / f"python{python}"))
    environ = {**os.environ, "PYTHONHOME": str(root / "usr")}
    # some packages carry files that are Python for nobody; what is not compiled is read as it is
    subprocess.run([*command, *how, *places], env=environ, check=False, stdout=subprocess.DEVNULL)


def _config() -> dict[str, object]:
    return {
        "User": f"{base.USER}:{base.USER}",
        "Env": [f"PATH={PATH}", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"],
        "Entrypoint": ENTRYPOINT,
        "WorkingDir": "/",
        "ExposedPorts": {f"{port}/tcp": {} for port in PORTS},
    }


def _annotations(version: str) -> dict[str, str]:
    return {
        "org.opencontainers.image.title": IMAGE.name,
        "org.opencontainers.image.description": IMAGE.summary,
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.licenses": "Apache-2.0",
    }


if __name__ == "__main__":
    sys.exit(main())
