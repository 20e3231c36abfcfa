"""Expressions as Mixer took them (Istio 1.1): what binds how, defaults, types, functions, refusals."""

from __future__ import annotations

from typing import Any

import pytest

from artemon.expr import (
    EvaluationError,
    ExpressionError,
    ExpressionRefused,
    compile_expression,
    read_attributes,
    read_manifest,
)
from artemon.expr.values import json_value

MANIFEST = read_manifest(
    [
        {
            "source.name": "STRING",
            "source.ip": "IP_ADDRESS",
            "source.labels": "STRING_MAP",
            "destination.service": "STRING",
            "destination.port": "INT64",
            "request.headers": "STRING_MAP",
            "request.path": "STRING",
            "request.time": "TIMESTAMP",
            "request.size": "INT64",
            "response.code": "INT64",
            "response.duration": "DURATION",
            "response.ratio": "DOUBLE",
            "connection.mtls": "BOOL",
            "peer.dns": "DNS_NAME",
            "peer.mail": "EMAIL_ADDRESS",
            "peer.uri": "URI",
        }
    ]
)
BAG: dict[str, Any] = {
    "source.name": "cart-v1-5d9",
    "source.ip": {"$ip": "10.1.2.3"},
    "source.labels": {"app": "cart", "empty": ""},
    "request.headers": {"user-agent": "curl/8.1", ":path": "/a?b"},
    "request.path": "/api/v1/items",
    "request.time": {"$time": "2026-11-29T10:00:00Z"},
    "request.size": 512,
    "response.code": 404,
    "response.duration": {"$duration": "150ms"},
    "response.ratio": 0.5,
    "connection.mtls": True,
}
DURATION, TIME = "$duration", "$time"


def value(source: str) -> Any:
    compiled = compile_expression(source, MANIFEST)
    return json_value(compiled.evaluate(read_attributes(MANIFEST, BAG)).value)


VALUES: list[tuple[str, Any]] = [
    # What binds how, which is as in Go.
    ("true || false && false", True),
    ("(true || false) && false", False),
    ("1 == 1 && 2 == 2 || false", True),
    ('destination.service | "x" == "x"', True),
    ("1 + 2 == 3", True),
    ("response.code + 1 > 404", True),
    ('"a" + "b" == "ab"', True),
    ("1.5 + 1.5 == 3.0", True),
    ("request.size + 1 | 7", 513),
    ('"a" < "b" == true', True),
    # Defaults: the first that is known, over several, also in the middle of something else.
    ('destination.service | "none"', "none"),
    ('source.name | "none"', "cart-v1-5d9"),
    ("destination.port | response.code | 1", 404),
    ("destination.port | 0", 0),
    ('request.headers["x-user"] | request.headers["user-agent"] | "none"', "curl/8.1"),
    ('request.headers["x-user"] | source.labels["app"] | "none"', "cart"),
    ('source.labels["empty"] | "none"', ""),
    ('(destination.service | "svc") + "!"', "svc!"),
    ('match(destination.service | "abc", "a*")', True),
    ('(destination.service | source.name).startsWith("cart")', True),
    ("connection.mtls | false", True),
    ('destination.service | request.headers["none"] | source.name', "cart-v1-5d9"),
    ('request.headers[destination.service | "user-agent"]', "curl/8.1"),
    # Maps.
    ('source.labels["app"]', "cart"),
    ('request.headers[":path"]', "/a?b"),
    ('source.labels["app"] == "cart"', True),
    ('source.labels["app"] != "web"', True),
    ('(source.labels | emptyStringMap())["app"]', "cart"),
    ('emptyStringMap()["app"] | "none"', "none"),
    # Numbers.
    ("-1 < 0", True),
    ("response.ratio == 0.5", True),
    ("response.ratio < 0.75", True),
    ("1e3 == 1000.0", True),
    ("response.code >= 400 && response.code < 500", True),
    ("9223372036854775807 > 0", True),
    # Strings.
    ('"\\u00e4" == "ä"', True),
    ('`a\\b` == "a\\\\b"', True),
    ('"" == ""', True),
    ('"A" == "a"', False),
    ('"a" < "aa"', True),
    ('"B" < "a"', True),
    ('request.path.startsWith("/api/")', True),
    ('request.path.startsWith("api/")', False),
    ('request.path.endsWith("/items")', True),
    ('request.path.endsWith("")', True),
    ('"^/api/v[0-9]+/".matches(request.path)', True),
    ('"v[0-9]+".matches(request.path)', True),
    ('"^v[0-9]+$".matches(request.path)', False),
    ('match(request.path, "/api/*")', True),
    ('match(request.path, "*/items")', True),
    ('match(request.path, "/api")', False),
    ('match(request.path, "/api/v1/items")', True),
    ('match("*", "*")', True),
    ('match("", "*")', True),
    ('toLower("ÄbC")', "äbc"),
    ('toLower(request.headers["user-agent"]) == "curl/8.1"', True),
    ('reverse("")', ""),
    ('"abc".reverse()', "cba"),
    ('conditionalString(response.code == 404, "gone", "here")', "gone"),
    ('conditional(response.code > 499, "error", "ok")', "ok"),
    ("conditional((response.code | 200) == 404, 1, 2)", 1),
    # Durations: a string that reads as one is one.
    ('"100ms"', {DURATION: "100ms"}),
    ('"1h30m" == "90m"', True),
    ('"0.5s" == "500ms"', True),
    ('response.duration > "100ms"', True),
    ('response.duration <= "150ms"', True),
    ('response.duration | "0ms"', {DURATION: "150ms"}),
    ('"1000us" == "1ms"', True),
    ('"-1s" < "0s"', True),
    ('"10"', "10"),
    ('"10 ms"', "10 ms"),
    # Times.
    ('request.time == timestamp("2026-11-29T10:00:00Z")', True),
    ('request.time < timestamp("2026-11-29T11:00:00.5Z")', True),
    ('timestamp("2026-11-29T12:00:00+02:00") == request.time', True),
    ('timestamp("2026-11-29T10:00:00Z") != request.time', False),
    ('request.time >= timestamp("2015-01-02T15:04:35Z")', True),
    # Addresses.
    ('source.ip == ip("10.1.2.3")', True),
    ('source.ip == ip("10.1.2.4")', False),
    ('ip("::ffff:10.1.2.3") == source.ip', True),
    ('ip("::1") == ip("0:0:0:0:0:0:0:1")', True),
    ('ip("fd00::1") != ip("fd00::2")', True),
    ('source.ip | ip("0.0.0.0")', {"$ip": "10.1.2.3"}),
    # Names of hosts, mail, URIs.
    ('dnsName("EXAMPLE.com") == dnsName("example.COM")', True),
    ('dnsName("example.com.") == dnsName("example.com")', True),
    ('email("ann@EXAMPLE.com") == email("ann@example.com")', True),
    ('email("Ann@example.com") == email("ann@example.com")', False),
    ('uri("http://a.example/x") == uri("http://a.example/x")', True),
    ('uri("http://a.example/x") == uri("http://a.example/y")', False),
    ('peer.dns | dnsName("a.example")', "a.example"),
]


@pytest.mark.parametrize(("source", "expected"), VALUES, ids=[source for source, _ in VALUES])
def test_what_it_is(source: str, expected: Any) -> None:
    found = value(source)
    assert found == expected
    assert type(found) is type(expected)


UNKNOWN = [
    "destination.service",
    'request.headers["x-user"]',
    "destination.port + 1",
    'destination.service == "a" || true',
    'destination.service | request.headers["x-user"]',
    'match(destination.service, "*")',
    "request.headers[destination.service]",
    "destination.port == 1 && false",
]


@pytest.mark.parametrize("source", UNKNOWN)
def test_what_is_not_known_fails_when_it_is_asked(source: str) -> None:
    with pytest.raises(EvaluationError):
        value(source)


@pytest.mark.parametrize(
    "source", ["true || destination.port == 1", "false && destination.port == 1", '"a" | destination.service']
)
def test_what_decides_before_needs_no_more(source: str) -> None:
    value(source)


BAD_VALUES = [
    'ip("10.1.2")',
    'timestamp("2026-11-29")',
    'dnsName("a..b")',
    'email("ann")',
    'uri("")',
    '"[".matches("a")',
]


@pytest.mark.parametrize("source", BAD_VALUES)
def test_values_that_are_none(source: str) -> None:
    with pytest.raises((EvaluationError, ExpressionError, ExpressionRefused)):
        value(source)


REFUSED = [
    "",
    "   ",
    "a b",
    "source.name ==",
    "(source.name",
    "source.nam",
    "unknown()",
    "source.name == 1",
    "response.code == 1.0",
    'source.ip == "10.1.2.3"',
    'request.time == "2026-11-29T10:00:00Z"',
    'source.name == "10ms"',
    "source.name && true",
    "!connection.mtls",
    "0x10 == 16",
    "response.code || true",
    "connection.mtls < true",
    "source.labels < source.labels",
    "source.name | response.code",
    "source.labels[1]",
    'source.name["a"]',
    "match(source.name)",
    'match(source.name, "a", "b")',
    "match(1, 2)",
    "ip(1)",
    "timestamp(response.code)",
    'conditional("a", 1, 2)',
    'conditional(true, 1, "a")',
    "source.name.startsWith(1)",
    'response.code.startsWith("4")',
    "source.name + 1",
    "connection.mtls + connection.mtls",
    "toLower(response.code)",
    "source.name = 1",
    "1 ? 2 : 3",
    "source.name; source.name",
    "99999999999999999999",
    '"unfinished',
    "source.name - source.name",
]


@pytest.mark.parametrize("source", REFUSED)
def test_what_is_refused_before_it_is_used(source: str) -> None:
    with pytest.raises((ExpressionError, ExpressionRefused)):
        compile_expression(source, MANIFEST)
