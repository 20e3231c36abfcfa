"""`-o`: every command takes the same words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from meshctl.__main__ import meshctl

FORMS = {"text", "json", "yaml", "wide"}
BAD = "{apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {name: a}, spec: {}}\n"


def commands(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        one = group.get_command(context, name)
        assert one is not None
        if isinstance(one, click.Group):
            yield from commands(one, (*words, name))
        else:
            yield " ".join((*words, name)), one


def test_every_command_takes_the_same_forms() -> None:
    known = dict(commands(meshctl))
    chosen = {
        name: set(option.type.choices)
        for name, command in known.items()
        for option in command.params
        if option.name == "output" and isinstance(option.type, click.Choice)
    }
    assert {name for name, forms in chosen.items() if not forms >= FORMS} == set()
    assert {"validate", "status", "version", "get", "proxy-status", "authz check"} <= chosen.keys()


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_findings_are_the_same_in_both_forms(form: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(BAD)
    result = CliRunner().invoke(meshctl, ["validate", "-f", str(tmp_path), "-o", form], standalone_mode=False)
    read = json.loads if form == "json" else yaml.safe_load
    assert [(one["path"], one["level"]) for one in read(result.stdout)] == [("spec.servers", "error")]


def test_wide_is_text_where_there_is_no_more_to_show() -> None:
    wide, text = (CliRunner().invoke(meshctl, ["version", "-o", form]).stdout for form in ("wide", "text"))
    assert wide == text
    assert wide.startswith("meshctl ")
