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
        ("010 + 1", {}, 11),
        ("TRUE && True", {}, True),
        ("'x' + \"y\"", {}, "xy"),
        ("'\\''", {}, "'"),
        ("i <= j | 1", {"i": 1}, True),
        ("-3", {}, -3),
        (".5 + 1.", {}, 1.5),
        ('(m | emptyStringMap())[s | `k`] | "none"', {"m": {"k": "v"}}, "v"),
        ('s | s2 + "!"', {"s2": "b"}, "b!"),
        ('"-1.5h" < "1us"', {}, True),
        ('"0"', {}, {"$duration": "0"}),
        ('"1 s"', {}, "1 s"),
        ("reverse(s) == s2.reverse()", {"s": "añb", "s2": "añb"}, True),
        ("reverse(s)", {"s": "str1"}, "1rts"),
        ("conditionalString(b, s, s2)", {"b": False, "s2": "no"}, "no"),
        ('conditional(b, s, s2) | "x"', {"b": True, "s": "y"}, "y"),
        ('match(s, "a*c")', {"s": "abc"}, False),
        ('match(s, "*b*")', {"s": "*bc"}, True),
        ("EQ(i, 1)", {"i": 1}, True),
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
        ("uri == uri2", {"uri": "HTTP://Example.com:80/A", "uri2": "http://example.COM:80/A"}, True),
        ("uri == uri2", {"uri": "http://h.com:", "uri2": "http://H.com"}, True),
        ("uri == uri2", {"uri": "http://h.com:80", "uri2": "http://h.com"}, False),
        ("uri == uri2", {"uri": "http://h.com", "uri2": "http://h.com/"}, False),
        ("uri == uri2", {"uri": "http://h/%41", "uri2": "http://h/A"}, False),
        ("uri == uri2", {"uri": "http://[::1]/", "uri2": "http://[0::1]/"}, True),
        ("uri == uri2", {"uri": "urn:bar", "uri2": "URN:bar"}, True),
        ("uri == uri2", {"uri": "urn:bar", "uri2": "urn:BAR"}, False),
        ('uri("http://[fe80::1%25en0]/a b?c=%zz")', {}, "http://[fe80::1%25en0]/a b?c=%zz"),
        ('dnsName("fOO.bar.")', {}, "fOO.bar."),
        ('dnsName("xn--bcher-kva.example") == dnsName("BÜCHER.example.")', {}, True),
        ('email("\\"john..doe\\"@bar.com")', {}, '"john..doe"@bar.com'),
        ('email("\\"foo\\"@bar.com") == email("<foo@BAR.com>")', {}, True),
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
        ("", "^unable to parse expression '': 1:1: expected operand, found 'EOF'$"),
        ("s ==", "1:5: expected operand, found 'EOF'"),
        ("(s", "1:3: expected '\\)', found 'EOF'"),
        ("s s2", "1:3: expected 'EOF', found 's2'"),
        ("1 +\n ?", r"'1 \+ \?': 2:2: illegal character U\+003F '\?'"),
        ("s = s2", "^unable to parse expression 's = s2': 1:3: expected '==', found '='$"),
        ("@23", r"^unable to parse expression '@23': 1:1: illegal character U\+0040 '@'$"),
        ("s == 'ab'", "1:6: illegal rune literal"),
        ('s == "ab', "1:6: string literal not terminated"),
        ("0x10", "1:1: 0x10 is not a decimal number"),
        ("b <= b", r"^LEQ\(\$b, \$b\) arg 1"),
        ('s == "5s"', r'^EQ\(\$s, "5s"\) arg 2 \("5s"\) typeError got DURATION, expected STRING$'),
        ("i == d", r"^EQ\(\$i, \$d\) arg 2 \(\$d\) typeError got DOUBLE, expected INT64$"),
        ("m[i]", r"^INDEX\(\$m, \$i\) arg 2 \(\$i\) typeError got INT64, expected STRING$"),
        ("-i", "^unknown function: SUB$"),
        ("i.reverse()", r"^\$i:reverse\(\) target typeError got INT64, expected STRING$"),
        ('"\\q"', "unknown escape"),
        ('"\\xff"', "not UTF-8"),
        ("9223372036854775808", "does not fit INT64"),
        ("1e999", "too large for DOUBLE"),
        ("nobody", "unknown attribute nobody"),
        ("!b", "^unknown function: NOT$"),
        ("s * s", "^unknown function: MUL$"),
        ("s == i", r"^EQ\(\$s, \$i\) arg 2 \(\$i\) typeError got INT64, expected STRING$"),
        ("m == m", r"^EQ\(\$m, \$m\) arg 1 \(\$m\) typeError got STRING_MAP, expected BOOL or"),
        ("b < b", r"^LT\(\$b, \$b\) arg 1 \(\$b\) typeError got BOOL, expected DOUBLE or"),
        ("b + b", "typeError got BOOL, expected DOUBLE or INT64 or STRING$"),
        ("s | i", r"^OR\(\$s, \$i\) arg 2 \(\$i\) typeError got INT64, expected STRING$"),
        ("s && b", r"^LAND\(\$s, \$b\) arg 1 \(\$s\) typeError got STRING, expected BOOL$"),
        ("conditional(b, s, i)", r"arg 3 \(\$i\) typeError got INT64, expected STRING$"),
        ("match(s)", r"^match\(\$s\) arity mismatch\. Got 1 arg\(s\), expected 2 arg\(s\)$"),
        ('s.match("x")', "^invoking regular function on instance method: match$"),
        ("startsWith(s)", "^invoking instance method without an instance: startsWith$"),
        ('i.startsWith("x")', r'^\$i:startsWith\("x"\) target typeError got INT64, expected STRING$'),
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
        ("s", {}, "^lookup failed: 's'$"),
        ('m["x"]', {"m": {}}, "^member lookup failed: 'x'"),
        ("ip(s) | ip2", {"ip2": "1.2.3.4"}, "^lookup failed: 's'$"),
        ("ip(s)", {"s": "1.2.3"}, "^could not convert 1.2.3 to IP_ADDRESS$"),
        (
            "timestamp(s)",
            {"s": "yesterday"},
            "^could not convert 'yesterday' to TIMESTAMP. expected format: '2006-",
        ),
        ("dnsName(s)", {"s": "a_b"}, "^error converting 'a_b' to dns name: 'idna: invalid label \"a_b\"'$"),
        ("email(s)", {"s": "a@"}, "^error converting 'a@' to e-mail: 'mail: "),
        ("email(s)", {"s": "a b@x.org"}, "to e-mail"),
        ("uri(s)", {"s": "http://[::1"}, "^error converting string to uri 'http://"),
        ("uri(s)", {"s": "a%zz"}, "invalid URL escape"),
        ("uri(s)", {"s": ":/"}, "missing protocol scheme"),
        ("uri(s)", {"s": "1a:b"}, "first path segment in URL cannot contain colon"),
        ("uri(s)", {"s": "http://a b/"}, 'invalid character " " in host name'),
        ("email(s)", {"s": "Ann <a@b.c>"}, "display names are not allowed"),
        ("email(s)", {"s": "a..b@c.d"}, "to e-mail"),
        ("email(s)", {"s": "a@b-.com"}, "^error converting 'a@b-.com' to e-mail: 'error converting 'b-.com'"),
        ("dnsName(s)", {"s": "b..a"}, "idna: invalid label"),
        ("dnsName(s)", {"s": "."}, "to dns name"),
        ("ip(s)", {"s": "fe80::1%eth0"}, "to IP_ADDRESS"),
        ("dns == dns2", {"dns": "a-", "dns2": "a"}, "idna: invalid label"),
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
        with pytest.raises(ExpressionRefused) as refused:
            compile_expression(case["expr"], manifest)
        assert str(refused.value) == case["compileError"]
        return
    program = compile_expression(case["expr"], manifest)
    assert program.type == case["type"]
    bag = read_attributes(manifest, case.get("input") or {})
    if "error" in case:
        with pytest.raises(EvaluationError) as failed:
            program.evaluate(bag)
        assert str(failed.value) == case["error"]
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
