"""Commands that are imported when they are asked for, so that nobody else pays for what they need."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click


class Lazy(click.Group):
    """A group with commands in modules of their own. later: command -> module; there it is called as in the
    table, with `_` for `-`."""

    def __init__(self, *arguments: Any, later: Mapping[str, str], **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._later = later

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table: the way a newcomer meets them."""
        return [*self._later, *sorted(self.commands)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported."""
        module = self._later.get(cmd_name)
        if module is None:
            return super().get_command(ctx, cmd_name)
        command: click.Command = getattr(importlib.import_module(module), cmd_name.replace("-", "_"))
        command.name = cmd_name
        return command
