"""Options of `meshctl install` that do not go together are told before anything is asked of a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from artemon.errors import Refused
from meshctl.__main__ import meshctl

OUTSIDE = ("--dry-run", "--injector", "https://10.0.0.5:15017")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--validator", "a/b"), "--validator and --validator-ca need each other"),
        (("--tag", "a"), "--validator, --revision, --tag and --no-default need --injector"),
        (("--revision", "a"), "--validator, --revision, --tag and --no-default need --injector"),
        (("--no-default",), "--validator, --revision, --tag and --no-default need --injector"),
        (("--secrets",), "--secrets needs --injector"),
        ((), "name the cluster with --kubeconfig"),
    ],
)
def test_options_that_do_not_go_together(options: tuple[str, ...], told: str) -> None:
    done = CliRunner().invoke(meshctl, ["install", *options])
    assert done.exit_code == 2
    assert told in done.output


def test_values_are_about_daemons_in_the_cluster(tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text("{}")
    done = CliRunner().invoke(meshctl, ["install", *OUTSIDE, "--values", str(tmp_path / "values.yaml")])
    assert done.exit_code == 2
    assert "--injector says that there are none" in done.output


def test_every_wrong_value_is_told() -> None:
    wrong = ["install", "--dry-run", "--injector", "nonsense", "--revision", "A_B", "--tag", "-"]
    refused = CliRunner().invoke(meshctl, wrong, standalone_mode=False).exception
    assert isinstance(refused, Refused)
    assert [one.path for one in refused.problems] == ["--injector", "--revision, --tag", "--revision, --tag"]


def test_daemons_elsewhere_need_webhooks_and_kinds_alone() -> None:
    done = CliRunner().invoke(meshctl, ["install", *OUTSIDE])
    assert done.exit_code == 0
    assert "kind: MutatingWebhookConfiguration" in done.output
    assert "kind: Deployment" not in done.output
