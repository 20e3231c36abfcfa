"""`meshctl validate`, as people and scripts call it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from meshctl.commands.validate import validate

GOOD = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: bookinfo}
spec: {hosts: [reviews], http: [{route: [{destination: {host: reviews}}]}]}
"""
BAD = GOOD.replace("{host: reviews}}", "{host: reviews}, weight: -5}").replace("hosts:", "hostz: [], hosts:")
NEGATIVE = BAD.replace("hostz: [], ", "")
MISSPELT = BAD.replace("-5", "5")
QUIET = GOOD.replace("{route:", "{mirror: {host: reviews}, mirrorPercent: 50, route:")
SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"


def run(*arguments: str, text: str = "") -> Result:
    result = CliRunner().invoke(validate, [*arguments], input=text, standalone_mode=False)
    assert result.exception is None or result.exit_code == 1, result.exception
    return result


def test_a_valid_file_says_so(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(GOOD)
    result = run("-f", str(file))
    assert (result.return_value, result.stdout) == (0, f"{file}: valid (1 object)\n")


def test_a_problem_names_object_path_and_reason() -> None:
    result = run("-f", "-", text=NEGATIVE)
    assert result.return_value == 1
    assert result.stdout.splitlines() == [
        "VirtualService/bookinfo/reviews: spec.http[0].route[0].weight: must be 0 or more, not -5",
        "standard input: invalid (1 object, 1 error)",
    ]


def test_an_unknown_field_does_not_hide_what_else_is_wrong() -> None:
    lines = run("-f", "-", text=BAD).stdout.splitlines()
    assert [line.split(": ")[1] for line in lines[:-1]] == ["spec.hostz", "spec.http[0].route[0].weight"]


def test_wrong_metadata_does_not_hide_what_else_is_wrong() -> None:
    text = NEGATIVE.replace("name: reviews, n", "name: Reviews, n")
    lines = run("-f", "-", text=text).stdout.splitlines()
    assert [line.split(": ")[1] for line in lines[:-1]] == ["metadata.name", "spec.http[0].route[0].weight"]


def test_an_object_twice_is_warned_about() -> None:
    result = run("-f", "-", text=f"{GOOD}---{QUIET}---{GOOD.replace('name: reviews', 'name: other')}")
    (line,) = (line for line in result.stdout.splitlines() if "twice" in line)
    assert (result.return_value, line.split(": ")[:2]) == (0, ["VirtualService/bookinfo/reviews", "warning"])


def test_what_is_too_large_is_named_once() -> None:
    large = GOOD.replace("spec: {", f"spec: {{exportTo: [{'a, ' * 100_000}], ")
    result = run("-f", "-", text=large)
    assert result.return_value == 1
    assert len(result.stdout.splitlines()) == 2
    assert "VirtualService/bookinfo/reviews: has" in result.stdout


def test_a_tab_is_called_a_tab() -> None:
    result = run("-f", "-", text="kind: VirtualService\nmetadata:\n\tname: a\n")
    assert "line 3: is not YAML: a tab cannot indent; write blanks" in result.stdout


def test_json_is_complete_and_tells_the_document() -> None:
    result = run(
        "-f", "-", "-o", "json", text=f"{GOOD}---{MISSPELT}---{QUIET.replace('name: reviews', 'name: quiet')}"
    )
    assert result.return_value == 1
    assert json.loads(result.stdout) == [
        {
            "file": "-",
            "document": 2,
            "kind": "VirtualService",
            "namespace": "bookinfo",
            "name": "reviews",
            "path": "spec.hostz",
            "level": "error",
            "message": 'unknown field (did you mean "hosts"?)',
        },
        {
            "file": "-",
            "document": 3,
            "kind": "VirtualService",
            "namespace": "bookinfo",
            "name": "quiet",
            "path": "spec.http[0].mirrorPercent",
            "level": "warning",
            "message": "is deprecated; use mirrorPercentage",
        },
    ]


def test_warnings_alone_are_fine() -> None:
    result = run("-f", "-", text=QUIET)
    assert result.return_value == 0
    assert ": warning: " in result.stdout
    assert result.stdout.endswith("standard input: valid (1 object, 1 warning)\n")


def test_folders_are_read_with_all_below(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "below" / "b.yml").write_text(NEGATIVE)
    (tmp_path / "below" / "c.json").write_text('{"kind": "X", "kind": "Y"}')
    (tmp_path / "notes.txt").write_text("not: [yaml")
    result = run("-f", str(tmp_path), "-o", "json")
    assert [(Path(one["file"]).name, one["document"]) for one in json.loads(result.stdout)] == [
        ("b.yml", 1),
        ("c.json", 1),
    ]


def test_the_platform_s_kinds_are_passed_over_and_said_so() -> None:
    result = run("-f", "-", text=f"{SERVICE}---{GOOD}")
    assert result.return_value == 0
    assert result.stdout == "standard input: valid (1 object)\n"
    assert "Service/default/a: passed over" in result.stderr


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("apiVersion: v1\nkind: VirtualService\nmetadata: {name: a}", "write networking.istio.io/v1"),
        ("apiVersion: x/v1\nkind: Foo\nmetadata: {name: a}", "Foo in x/v1 is not a kind of this mesh"),
        ("a: [", "document 1: line 2: is not YAML"),
        ("a: &b 1", "anchor &b is not allowed"),
        ("- 1", "an object must be a mapping"),
        ("apiVersion: 1\nkind: []\nmetadata: 5", "metadata: must be a mapping"),
    ],
)
def test_what_is_no_object_of_the_mesh_is_an_error(text: str, reason: str) -> None:
    result = run("-f", "-", text=text)
    assert result.return_value == 1
    assert reason in result.stdout


def test_namespace_is_for_objects_that_name_none() -> None:
    result = run("-n", "shop", "-f", "-", text=NEGATIVE.replace(", namespace: bookinfo", ""))
    assert result.stdout.startswith("VirtualService/shop/reviews: ")


def test_a_path_that_does_not_exist_is_wrong_usage() -> None:
    result = CliRunner().invoke(validate, ["-f", "/no/such/file"])
    assert result.exit_code == 2
    assert "/no/such/file" in result.stderr


def test_a_file_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    result = run("-f", str(file))
    assert result.return_value == 1
    assert f"{file}: cannot be read: is not text in UTF-8" in result.stdout


def test_a_subset_that_the_rule_beside_it_does_not_have() -> None:
    rule = GOOD.replace("VirtualService", "DestinationRule").partition("spec:")[0]
    rule += "spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}]}\n"
    routes = GOOD.replace("{host: reviews}}", "{host: reviews, subset: v9}}")
    result = run("-f", "-", text=f"{routes}---{rule}")
    assert result.return_value == 0
    assert '"v9" is not a subset of reviews.bookinfo.svc.cluster.local (known: v1)' in result.stdout
    assert "v9" not in run("-f", "-", text=routes).stdout


RULES = """
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: {name: all, namespace: shop}
spec:
  match: request.size > EXPRESSION
  actions: [{handler: out, instances: [line]}]
---
apiVersion: config.istio.io/v1alpha2
kind: handler
metadata: {name: out, namespace: shop}
spec: {compiledAdapter: stdio}
---
apiVersion: config.istio.io/v1alpha2
kind: instance
metadata: {name: line, namespace: shop}
spec: {compiledTemplate: logentry, params: {variables: {path: request.path}}}
"""


def test_rules_of_one_file_are_checked_together() -> None:
    assert run("-f", "-", text=RULES.replace("EXPRESSION", "7")).return_value == 0
    wrong = run("-f", "-", text=RULES.replace("EXPRESSION", '"7"'))
    assert wrong.return_value == 1
    assert wrong.stdout.startswith("rule/shop/all: spec.match: GT($request.size")
    unknown = run("-f", "-", text=RULES.replace("EXPRESSION", "ours.size"))
    assert unknown.return_value == 0
    assert "warning: unknown attribute ours.size, unless the mesh has it" in unknown.stdout + unknown.stderr
    alone = run("-f", "-", text=RULES.replace("EXPRESSION", "7").partition("---")[0])
    assert alone.return_value == 0
    assert "there is no handler out in shop, unless the mesh has it" in alone.stdout + alone.stderr
