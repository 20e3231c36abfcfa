"""What a proxyd that runs has in memory: nothing that only its other commands, or few machines, need."""

from __future__ import annotations

import subprocess
import sys

import click

from proxyd.cli import LATER, proxyd

OTHERS = ("psutil", "dns", "dbus_fast", "rich", "re2", "consul", "apscheduler", "sqlite3",
          "grpc_health.v1.health",
          "proxyd.joining", "proxyd.intercept.commands", "proxyd.patched", "artemon.translate",
          "artemon.validate", "envoy.config.bootstrap", "envoy.config.listener")  # fmt: skip
LOOK = f"""
import sys
import click
from proxyd.cli import proxyd
assert proxyd.get_command(click.Context(proxyd), "run") is not None
assert "proxyd.app" in sys.modules
print(*(one for one in {OTHERS} if one in sys.modules))
"""


def test_running_imports_nothing_of_others() -> None:
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_other_commands_are_there() -> None:
    context = click.Context(proxyd)
    found = [proxyd.get_command(context, one) for one in LATER]
    assert [one.name for one in found if one] == ["join", "leave", "check", "drain", "intercept"]
