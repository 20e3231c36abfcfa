"""The wheel and the sdist: what is in them, and that both install and run in an empty environment."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from contents import DAEMONS, PROXY
from netns import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
UV = str(Path(sys.executable).with_name("uv"))
LOAD = """
import sys
from importlib.metadata import entry_points
for group in sys.argv[1:]:
    for one in entry_points(group=group):
        one.load()
        print(group, one.name)
"""
ROOMS = {"artemon", "pilotd", "citadeld", "galleyd", "injectord", "mixerd", "proxyd", "meshctl"}


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist, and the wheel that is built from it alone."""
    folder = tmp_path_factory.mktemp("dist")
    run(UV, "build", "--quiet", "--out-dir", str(folder), str(ROOT))
    return next(folder.glob("*.tar.gz")), next(folder.glob("*.whl"))


def test_the_wheel_has_the_rooms_and_their_data(built: tuple[Path, Path]) -> None:
    names = zipfile.ZipFile(built[1]).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info" not in name} == ROOMS
    tracked = run("git", "-C", str(ROOT), "ls-files", *sorted(ROOMS)).splitlines()
    assert set(tracked) <= set(names)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


def test_the_sdist_has_what_the_repository_has(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for wanted in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "Makefile", "tests/conftest.py",
                   "deploy/systemd/artemon-proxy.service", "proto", "docs/tasks/vm.md"):  # fmt: skip
        assert any(name == wanted or name.startswith(f"{wanted}/") for name in names), wanted
    unwanted = (".venv", ".ci", "dist", ".git/")
    assert not [name for name in names if name.startswith(unwanted) or "__pycache__" in name]


def test_they_run_in_an_empty_environment(built: tuple[Path, Path], tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(project["scripts"]) == ROOMS - {"artemon"} | {"pilot-agent", "artemon-cni"}
    assert set(project["scripts"]) == {*DAEMONS.programs, *PROXY.programs, *PROXY.plugins}, "of the .debs"
    programs = tmp_path / "venv" / "bin"
    run(UV, "venv", "--quiet", "-p", sys.executable, str(programs.parent))
    install = (UV, "pip", "install", "--quiet", "-p", str(programs.parent))
    run(*install, str(built[1]))
    for name in project["scripts"]:
        assert run(str(programs / name), "--version").split()[-1] == project["version"]
    loaded = run(str(programs / "python"), "-Ic", LOAD, *project["entry-points"]).splitlines()
    assert set(loaded) == {
        f"{group} {name}" for group, ones in project["entry-points"].items() for name in ones
    }
    run(*install, "--no-deps", "--reinstall", str(built[0]))
    assert run(str(programs / "meshctl"), "--version").split()[-1] == project["version"]
