"""The lock of the Debian packages follows pyproject.toml."""

from __future__ import annotations

import re
import tomllib

from environment import LOCK
from netns import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def test_every_dependency_is_locked_within_its_bounds() -> None:
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    pinned = dict(re.findall(r"^([a-z0-9.-]+)==([^ ;\\]+)", LOCK.read_text(), re.MULTILINE))
    for text in asked:
        one = Requirement(text)
        version = pinned.get(canonicalize_name(one.name))
        assert version, f"{one.name} is not in {LOCK.name}: make lock"
        assert one.specifier.contains(version), f"{one.name}: {version} is not {one.specifier}: make lock"


def test_the_lock_has_hashes_and_no_hosts() -> None:
    text = LOCK.read_text()
    entries = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in one for one in entries)
    assert "://" not in text
