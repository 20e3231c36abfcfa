"""What a package carries for people: licence, changes, manual pages, bill of materials."""

from __future__ import annotations

import gzip
import os
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import manpages
import sbom
from contents import MAINTAINER, ROOT, Package

_COPYRIGHT = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: artemon
Comment:
 The Python packages below {prefix}/lib have licences of their own: see the
 directories *.dist-info beside each.

Files: *
Copyright: 2026 The Artemon authors
License: Apache-2.0
 On Debian systems, the text of this licence is in
 /usr/share/common-licenses/Apache-2.0.
"""
_CHANGES = """{name} ({version}) unstable; urgency=medium

  * What is new is told in changelog.gz.

 -- {maintainer}  {built}
"""


def write(root: Path, package: Package, version: str) -> None:
    """All of it, below /usr/share."""
    folder = root / "usr" / "share" / "doc" / package.name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "copyright").write_text(_COPYRIGHT.format(prefix=package.prefix))
    squeeze(folder / "changelog.gz", (ROOT / "CHANGELOG.md").read_bytes())
    built = format_datetime(datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC))
    debian = _CHANGES.format(name=package.name, version=version, maintainer=MAINTAINER, built=built)
    squeeze(folder / "changelog.Debian.gz", debian.encode())
    overrides = root / "usr" / "share" / "lintian" / "overrides" / package.name
    overrides.parent.mkdir(parents=True)
    overrides.write_text((Path(__file__).parent / "lintian-overrides").read_text())
    trees = sorted((root / package.prefix.lstrip("/") / "lib").glob("python*/site-packages"))
    (folder / sbom.FILE).write_text(sbom.describe(package, version, trees), encoding="utf-8")
    date = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC).date().isoformat()
    for program in package.programs:
        number = manpages.section(program)
        text = manpages.page(program, manpages.command_of(program), date=date)
        squeeze(root / f"usr/share/man/man{number}/{program}.{number}.gz", text.encode())


def squeeze(path: Path, content: bytes) -> None:
    """`content` as gzip, without name and time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, 9, mtime=0))
