"""Manual pages from the same source as `--help`: `python deploy/deb/manpages.py DIRECTORY` (`make man`).

One page for each program, with all its commands (man(7)). Rejected: click-man, which writes a page for each
command, none for commands that are imported when they are used, and takes a leading dot for a request.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from artemon import __version__

PROGRAMS = {
    "citadeld": "certificate authority of an Artemon mesh",
    "galleyd": "configuration of an Artemon mesh",
    "injectord": "gives pods of a Kubernetes cluster a proxy",
    "mixerd": "telemetry and counted limits of an Artemon mesh",
    "pilot-agent": "the proxy of a pod of an Artemon mesh",
    "pilotd": "steers the proxies of an Artemon mesh",
    "proxyd": "the agent beside a workload of an Artemon mesh",
    "meshctl": "the command line of an Artemon mesh",
}
ENTRIES = {
    "meshctl": "meshctl.__main__:meshctl",
    "pilot-agent": "proxyd.pod.commands:agent",
    "proxyd": "proxyd.cli:proxyd",
}
"""Where the command line of a program is, unless it is `main` of its `__main__`."""
WITHOUT_SETTINGS = {"meshctl", "pilot-agent"}
_EXAMPLE = re.compile(r"\s*\bExample: (.*)\Z", re.DOTALL)


def section(program: str) -> int:
    """Of the manual: daemons are in 8, what everybody runs is in 1."""
    return 1 if program == "meshctl" else 8


def command_of(program: str) -> click.Command:
    """The program's command line, as `--help` has it."""
    module, _, name = ENTRIES.get(program, f"{program}.__main__:main").partition(":")
    found: click.Command = getattr(importlib.import_module(module), name)
    return found


def page(program: str, command: click.Command, *, date: str) -> str:
    """The manual page of `program`."""
    context = click.Context(command, info_name=program, **command.context_settings)
    lines = [
        f'.TH {program.upper()} {section(program)} "{date}" "artemon {__version__}" "Artemon"',
        ".SH NAME",
        rf"{program} \- {_text(PROGRAMS[program])}",
        ".SH SYNOPSIS",
        *_synopsis(context),
        ".SH DESCRIPTION",
        *_prose(command.help or ""),
        *_options(context, ".SH OPTIONS"),
    ]
    below = list(_commands(context))
    if below:
        lines.append(".SH COMMANDS")
    for one in below:
        lines += [f".SS {_text(one.command_path)}", *_synopsis(one), ".PP", *_prose(one.command.help or "")]
        lines += _options(one, "")
    lines += _environment(program)
    return "\n".join(lines) + "\n"


def _commands(context: click.Context) -> Iterator[click.Context]:
    """All commands below, in the order of `--help`, but hidden ones."""
    group = context.command
    if not isinstance(group, click.Group):
        return
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        below = click.Context(command, info_name=name, parent=context)
        yield below
        yield from _commands(below)


def _synopsis(context: click.Context) -> list[str]:
    pieces = " ".join(context.command.collect_usage_pieces(context))
    return [f".B {_text(context.command_path)}", _line(pieces)]


def _prose(help_text: str) -> list[str]:
    """Paragraphs; an example stands as it is typed."""
    text = help_text.strip()
    example = _EXAMPLE.search(text)
    if example:
        text = text[: example.start()]
    lines: list[str] = []
    for paragraph in filter(None, re.split(r"\n\s*\n", text)):
        lines += [*([".PP"] if lines else []), _line(" ".join(paragraph.split()))]
    if example:
        typed = [" ".join(line.split()) for line in example[1].splitlines()]
        lines += [".PP", "Example:", ".PP", ".RS 4", ".nf", *map(_line, typed), ".fi", ".RE"]
    return lines


def _options(context: click.Context, heading: str) -> list[str]:
    asked = [one for one in context.command.get_params(context) if one.name != "help" or not context.parent]
    rows = [param.get_help_record(context) for param in asked]
    found = [row for row in rows if row is not None]
    lines = [heading] if heading and found else []
    for names, told in found:
        lines += [".TP", f".B {_text(names)}", _line(" ".join(told.split()) or "Shows help.")]
    return lines


def _environment(program: str) -> list[str]:
    lines = []
    if program not in WITHOUT_SETTINGS:
        variable = _text(f"ARTEMON_{program.upper()}_")
        told = "Each setting, in capital letters: it wins over the file, and flags win over it."
        lines += [".SH ENVIRONMENT", ".TP", f".BI {variable} SETTING", told]
        told = "The settings with which systemd starts it: names of flags with _ in place of -."
        lines += [".SH FILES", ".TP", f".I /etc/artemon/{program}.yaml", _line(told)]
    others = sorted(name for name in PROGRAMS if name != program)
    told = ", ".join(rf"\fB{name}\fR({section(name)})" for name in others)
    return [*lines, ".SH SEE ALSO", told]


def _text(text: str) -> str:
    """Text within a line of man(7): every character stands for itself."""
    return text.replace("\\", r"\e").replace("-", r"\-").replace('"', r"\(dq")


def _line(text: str) -> str:
    """The same, where a line begins: a leading dot or quote is no request."""
    safe = _text(text)
    return rf"\&{safe}" if safe.startswith((".", "'")) else safe


def write(directory: Path) -> list[Path]:
    """All pages, as files of `directory`. Dates are of SOURCE_DATE_EPOCH, where it is set."""
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    date = (datetime.fromtimestamp(seconds, UTC) if seconds else datetime.now(UTC)).date().isoformat()
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for program in PROGRAMS:
        path = directory / f"{program}.{section(program)}"
        path.write_text(page(program, command_of(program), date=date), encoding="utf-8")
        written.append(path)
    return written


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: manpages.py DIRECTORY")
    for path in write(Path(sys.argv[1])):
        print(path)
