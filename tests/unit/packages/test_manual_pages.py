"""Manual pages say what `--help` says, and man takes them as they are."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import click
import manpages
import pytest
from netns import ROOT


@click.command()
@click.option("--dir", help=".hidden is \\fBnot\\fR a request.")
def odd(dir: str) -> None:
    """'Tis a quote. It's followed by -- dashes.

    .SH is text here.

    Example: odd --dir 'a b'
    .odd
    """


@pytest.mark.slow
@pytest.mark.parametrize("program", sorted(manpages.PROGRAMS))
def test_a_page_has_every_command_and_option(program: str) -> None:
    command = manpages.command_of(program)
    text = manpages.page(program, command, date="2026-01-01")
    assert text.startswith(f".TH {program.upper()} {manpages.section(program)} ")
    assert not [line for line in text.splitlines() if "\x08" in line]
    for name, option in every_option(command, program):
        assert option.replace("-", r"\-") in text, f"{name} {option}"
        assert f".SS {name}".replace("-", r"\-") in text or name == program


def every_option(command: click.Command, name: str) -> list[tuple[str, str]]:
    found = [
        (name, option)
        for param in command.params
        if isinstance(param, click.Option) and not param.hidden
        for option in param.opts
    ]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for below in command.list_commands(context):
            one = command.get_command(context, below)
            assert one is not None
            found += [] if one.hidden else every_option(one, f"{name} {below}")
    return found


def test_text_is_never_a_request() -> None:
    text = manpages.page("meshctl", odd, date="2026-01-01")
    assert r"\&'Tis a quote. It's followed by \-\- dashes." in text
    assert "\n\\&.SH is text here." in text
    assert "\n\\&.hidden is \\efBnot\\efR a request." in text
    assert "\n\\&.odd\n" in text
    assert ".nf\nodd \\-\\-dir 'a b'\n" in text


@pytest.mark.skipif(shutil.which("man") is None, reason="needs man (Debian: man-db)")
@pytest.mark.slow
def test_man_has_no_complaint(tmp_path: Path) -> None:
    for path in manpages.write(tmp_path):
        command = ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), path
        assert len(done.stdout) > 1000


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="needs mandoc")
@pytest.mark.slow
def test_mandoc_has_no_complaint(tmp_path: Path) -> None:
    command = ["mandoc", "-T", "lint", "-W", "warning", *map(str, manpages.write(tmp_path))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_units_name_pages_that_there_are() -> None:
    pages = {f"man:{program}({manpages.section(program)})" for program in manpages.PROGRAMS}
    for unit in (ROOT / "deploy" / "systemd").glob("*.service"):
        lines = [line for line in unit.read_text().splitlines() if line.startswith("Documentation=")]
        assert {line.partition("=")[2] for line in lines} <= pages, unit
