"""Attribute expressions: types, values, what they depend on, and what is refused."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from corpus import CORPUS
from hypothesis import given
from hypothesis import strategies as st

from artemon.errors import Refused
from artemon.expr import (
    VOCABULARY,
    EvaluationError,
    ExpressionError,
    ExpressionRefused,
    compile_expression,
    read_attributes,
    read_manifest,
)
from artemon.expr.values import json_value
from meshctl.__main__ import meshctl

MANIFEST = read_manifest(
    [
        {
            "s": "STRING",
            "s2": "STRING",
            "i": "INT64",
            "j": "INT64",
            "d": "DOUBLE",
            "b": "BOOL",
            "m": "STRING_MAP",
        },
        {"t": "TIMESTAMP", "u": "TIMESTAMP", "ip": "IP_ADDRESS", "ip2": "IP_ADDRESS", "dur": "DURATION"},
        {"dns": "DNS_NAME", "dns2": "DNS_NAME", "uri": "URI", "uri2": "URI", "mail": "EMAIL_ADDRESS"},
        {"a.b.c": "STRING"},
    ]
)


def value(source: str, **attributes: Any) -> Any:
    bag = read_attributes(MANIFEST, {name.replace("__", "."): one for name, one in attributes.items()})
    return json_value(compile_expression(source, MANIFEST).evaluate(bag).value)


@pytest.mark.parametrize(
    ("source", "attributes", "expected"),
    [
        ('"19ms"', {}, {"$duration": "19ms"}),
        ("`raw \\n`", {}, "raw \\n"),
        (r'"tab\t\x41é\""', {}, 'tab\tAé"'),
        ("0x10 + 010", {}, 24),
        ("-3 < 2", {}, True),
        ("a.b.c", {"a__b__c": "x"}, "x"),
        ("1 + 2 == 3 && true || false", {}, True),
        ("i == 1 || j == 2", {"i": 1}, True),
        ("b && i == 1", {"b": False}, False),
        ('match(s, "a*") && match(s, "*z") && match(s, "a-z")', {"s": "a-z"}, True),
        ('match(s, "*")', {"s": ""}, True),
        ('"v[0-9]+".matches(s)', {"s": "on v12 now"}, True),
        ('toLower(s) + s2 | "none"', {"s": "AB", "s2": "c"}, "abc"),
        ("size(s)", {"s": "äb"}, 3),
        ('m[s] | m["x"] | "none"', {"m": {"x": "y"}}, "y"),
        ('m["a"] == "1"', {"m": {"a": "1"}}, True),
        ("ip == ip2", {"ip": [1, 2, 3, 4], "ip2": "::ffff:1.2.3.4"}, True),
        ('ip == ip("fd00::1")', {"ip": "fd00:0::1"}, True),
        ("t < u", {"t": "2020-01-01T00:00:00.000000001Z", "u": "2020-01-01T01:00:00.000000002+01:00"}, True),
        ("dns == dns2", {"dns": "A.Example.com.", "dns2": "a.example.COM"}, True),
        ("uri == uri2", {"uri": "HTTP://Example.com:80", "uri2": "http://example.com/"}, True),
        ("uri == uri2", {"uri": "http://example.com/a", "uri2": "http://example.com/b"}, False),
        ('mail == email("me@EXAMPLE.com")', {"mail": "me@example.com"}, True),
        ('mail == email("Me@example.com")', {"mail": "me@example.com"}, False),
        ('dur >= "1s"', {"dur": "1000ms"}, True),
        ("conditional(b, 1, 2)", {"b": True}, 1),
        ("emptyStringMap()", {}, {}),
        ("d", {"d": 3}, 3.0),
    ],
)
def test_value(source: str, attributes: dict[str, Any], expected: Any) -> None:
    assert value(source, **attributes) == expected


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("", "at 1:1: expected a value, found the end"),
        ("s ==", "at 1:5: expected a value"),
        ("(s", "expected \\)"),
        ("s s2", "at 1:3: expected an operator, found s2"),
        ("1 +\n ?", r"at 2:2: unexpected '\?'"),
        ("'a'", 'unexpected "\'"'),
        ('"\\q"', "unknown escape"),
        ('"\\xff"', "not UTF-8"),
        ("9223372036854775808", "does not fit INT64"),
        ("1e999", "too large for DOUBLE"),
        ("nobody", "unknown attribute nobody"),
        ("!b", r"unknown function NOT in NOT\(\$b\)"),
        ("s * s", "unknown function MUL"),
        ("s == i", r"EQ\(\$s, \$i\): argument 2 \(\$i\) is INT64, must be STRING"),
        ("m == m", "cannot be STRING_MAP"),
        ("b < b", "cannot be BOOL"),
        ("b + b", "cannot be BOOL"),
        ("s | i", "argument 2"),
        ("s && b", "is STRING, must be BOOL"),
        ("conditional(b, s, i)", "argument 3"),
        ("match(s)", "takes 2 arguments, not 1"),
        ('s.match("x")', "is a function, not a method"),
        ("startsWith(s)", "is a method"),
        ('i.startsWith("x")', r"\$i is INT64, must be STRING"),
        ('"(".matches(s)', "not a regular expression"),
        ('"x".y', "only attributes have parts"),
        ("(" * 100 + "b" + ")" * 100, "nested more than 64"),
        ("b" + " && b" * 300, "more than 256 operands"),
        ("s" * 20_000, "longer than"),
    ],
)
def test_refused(source: str, reason: str) -> None:
    with pytest.raises(ExpressionRefused, match=reason):
        compile_expression(source, MANIFEST)


@pytest.mark.parametrize(
    ("source", "attributes", "reason"),
    [
        ("s", {}, "attribute s is absent"),
        ('m["x"]', {"m": {}}, "has no entry 'x'"),
        ("ip(s) | ip2", {"ip2": "1.2.3.4"}, "attribute s is absent"),
        ("ip(s)", {"s": "1.2.3"}, "not an IP address"),
        ("timestamp(s)", {"s": "yesterday"}, "not a time"),
        ("dnsName(s)", {"s": "a_b"}, "not a DNS name"),
        ("email(s)", {"s": "a@"}, "not a DNS name"),
        ("email(s)", {"s": "a b@x.org"}, "not an e-mail"),
        ("uri(s)", {"s": "http://[::1"}, "not a URI"),
        ("uri(s)", {"s": "a%zz"}, "not a URI"),
        ('s.matches("x")', {"s": "("}, "not a regular expression"),
        ("i + j", {"i": 2**63 - 1, "j": 1}, "does not fit INT64"),
    ],
)
def test_no_value(source: str, attributes: dict[str, Any], reason: str) -> None:
    with pytest.raises(EvaluationError, match=reason):
        value(source, **attributes)


def test_what_the_value_depends_on() -> None:
    program = compile_expression('m[s] | m["x"] | s2', MANIFEST)
    assert program.evaluate({"s": "k", "m": {}, "s2": "z"}).referenced == ("-m[k]", "-m[x]", "m", "s", "s2")
    assert program.evaluate({"m": {"x": "1"}}).referenced == ("-s", "m", "m[x]")


def test_wrong_attributes_are_named_all_at_once() -> None:
    wrong = {"s": 1, "i": "1", "ip": [1, 2], "t": "now", "m": {"a": 1}, "b": 0, "unknown": object()}
    with pytest.raises(Refused) as refused:
        read_attributes(MANIFEST, wrong)
    assert [one.path for one in refused.value.problems] == ["s", "i", "ip", "t", "m", "b"]


def test_a_manifest_names_types_that_do_not_exist() -> None:
    manifest = {"kind": "attributemanifest", "spec": {"attributes": {"a": {"valueType": "TEXT"}}}}
    with pytest.raises(Refused, match="a: 'TEXT' is not a type; there are STRING,"):
        read_manifest([manifest])


@pytest.mark.slow
@given(st.text(alphabet='abims12.0"`|&=!<>()[]+-/*, \\\nx', max_size=60))
def test_any_text_is_an_expression_or_refused(source: str) -> None:
    with suppress(ExpressionError):
        program = compile_expression(source, MANIFEST)
        program.evaluate(read_attributes(MANIFEST, {"s": "a", "i": 1, "b": True, "m": {"a": "b"}}))


def corpus() -> tuple[dict[str, Any], list[Any]]:
    path = CORPUS / "expressions.json"
    if not path.exists():
        return {}, []
    found = json.loads(path.read_text())
    return found["attributeManifests"], [pytest.param(one, id=one["id"]) for one in found["cases"]]


MANIFESTS, CASES = corpus()


@pytest.mark.skipif(not CASES, reason=f"no corpus at {CORPUS} (set ARTEMON_CORPUS)")
@pytest.mark.parametrize("case", CASES)
def test_same_answer_as_mixer(case: dict[str, Any]) -> None:
    declared = MANIFESTS.get(case.get("attributes", "defaultAttrs"))
    manifest = read_manifest([declared]) if declared else VOCABULARY
    if "compileError" in case:
        with pytest.raises(ExpressionRefused):
            compile_expression(case["expr"], manifest)
        return
    program = compile_expression(case["expr"], manifest)
    assert program.type == case["type"]
    bag = read_attributes(manifest, case.get("input") or {})
    if "error" in case:
        with pytest.raises(EvaluationError):
            program.evaluate(bag)
        return
    result = program.evaluate(bag)
    assert json_value(result.value) == ({} if case["result"] is None else case["result"])
    assert list(result.referenced) == case.get("referenced", list(result.referenced))


def test_the_command_evaluates_and_refuses(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("attributes:\n  s: {valueType: STRING}\n  t: {valueType: TIMESTAMP}\n")
    (tmp_path / "a.json").write_text('{"s": "x", "t": {"$time": "2015-01-02T15:04:35Z"}}')
    files = ["--manifest", str(tmp_path / "m.yaml"), "--attributes", str(tmp_path / "a.json")]
    run = CliRunner().invoke(meshctl, ["expr", "eval", "t", *files])
    found = {"type": "TIMESTAMP", "value": {"$time": "2015-01-02T15:04:35Z"}, "referenced": ["t"]}
    assert json.loads(run.output) == found
    assert json.loads(CliRunner().invoke(meshctl, ["expr", "check", "s", *files[:2]]).output) == {
        "type": "STRING"
    }
    refused = CliRunner().invoke(meshctl, ["expr", "check", "request.size == s"])
    assert "unknown attribute s" in str(refused.exception)
