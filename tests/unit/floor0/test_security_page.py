"""docs/security.md names tests that exist, in order; and T38: what no line of ours calls."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "security.md"
PACKAGES = ("artemon", "citadeld", "galleyd", "injectord", "meshctl", "mixerd", "pilotd", "proxyd")
FORBIDDEN = {"eval", "exec", "pickle.loads", "pickle.load", "yaml.load", "yaml.unsafe_load", "os.system"}
NAMED = re.compile(r"`(tests/[^`]*)::(\w+)`")
SUSPICIOUS = re.compile("|".join(rf"\b{name.partition('.')[0]}\b" for name in (*FORBIDDEN, "subprocess")))
"""What a file must mention for one of them to be called in it."""


def rows() -> list[tuple[int, str]]:
    found = re.findall(r"^\| T(\d\d) \|(.*)$", PAGE.read_text(), re.MULTILINE)
    return [(int(number), rest) for number, rest in found]


def test_the_table_names_tests_that_exist() -> None:
    for number, rest in rows():
        assert NAMED.search(rest), f"T{number:02} names no test"
    for file, test in NAMED.findall(PAGE.read_text()):
        assert re.search(rf"def {test}\(", (ROOT / file).read_text()), f"{file}::{test}"


def test_every_other_claim_names_a_test_or_a_printed_result() -> None:
    claims = PAGE.read_text().partition("| claim | tested by |\n|---|---|\n")[2].splitlines()
    assert len(claims) > 10
    for row in claims:
        results = re.findall(r"\]\((evidence/[\w.-]+)\)", row)
        assert NAMED.search(row) or results, f"names no test: {row}"
        assert all((PAGE.parent / one).is_file() for one in results), row


def test_every_attack_has_a_row() -> None:
    assert [number for number, _ in rows()] == list(range(1, 41))


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_t38_nothing_dangerous_is_called() -> None:
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    assert len(files) > 100
    for file in files:
        text = file.read_text()
        if not SUSPICIOUS.search(text):
            continue
        for name, call in calls(ast.parse(text)):
            shell = any(
                one.arg == "shell" and not (isinstance(one.value, ast.Constant) and one.value.value is False)
                for one in call.keywords
            )
            assert name not in FORBIDDEN, f"{file}:{call.lineno}: {name}"
            assert not (shell and name.startswith("subprocess")), f"{file}:{call.lineno}: shell"
