"""Checks of single values."""

from __future__ import annotations

import pytest

from artemon.validate import addresses, cel, hosts, texts, urls
from artemon.validate.localities import overlapping


@pytest.mark.parametrize("host", ["a", "a.b", "a.b.", "A-1.b2", "a" * 63 + ".b", "1.a"])
def test_host_is_a_name(host: str) -> None:
    assert hosts.fqdn(host) is None
    assert hosts.wildcard_domain(host) is None


@pytest.mark.parametrize("host", ["", "-a", "a_b", "a..b", "a.1", "a" * 64, "a." * 130, "a b", "a/b", "a.*"])
def test_host_is_no_name(host: str) -> None:
    assert hosts.fqdn(host)
    assert hosts.wildcard_domain(host)


@pytest.mark.parametrize("host", ["*", "*.a", "*a.b", "*-a.b"])
def test_wildcard_is_a_first_label(host: str) -> None:
    assert hosts.wildcard_domain(host) is None
    assert hosts.fqdn(host)


@pytest.mark.parametrize("host", ["**", "a*.b", "*.*", "a.*.b", "*_a"])
def test_wildcard_is_nowhere_else(host: str) -> None:
    assert hosts.wildcard_domain(host)


@pytest.mark.parametrize(
    ("host", "gateway", "sidecar"),
    [
        ("a.b", True, False),
        ("ns/a.b", True, True),
        ("*/*", True, True),
        ("./*.a.b", True, True),
        ("~/*", False, True),
        ("ns/short", False, False),
        ("ns/*a.b", False, False),
        ("/a.b", False, False),
        ("ns/", False, False),
        ("n.s/a.b", False, False),
        ("ns/1.2.3.4", True, False),
        ("1.2.3.4", True, False),
        ("ns/::1", True, False),
        ("a.b/c/d", False, False),
    ],
)
def test_scoped_host(host: str, gateway: bool, sidecar: bool) -> None:
    assert (not hosts.scoped_host(host, gateway=True, nobody=False)) is gateway
    assert (not hosts.scoped_host(host, gateway=False, nobody=True)) is sidecar


@pytest.mark.parametrize(
    ("patterns", "host", "covered"),
    [
        (["a.b"], "a.b", True),
        (["a.b"], "c.b", False),
        (["*.b"], "a.b", True),
        (["*.b"], "x.a.b", True),
        (["*.b"], "*.a.b", True),
        (["*.a.b"], "*.b", False),
        (["*"], "*.b", True),
        (["*"], "a", True),
        (["a.b", "*-x.c"], "y-x.c", True),
        ([], "a", False),
    ],
)
def test_patterns_cover(patterns: list[str], host: str, covered: bool) -> None:
    assert (hosts.Patterns(patterns).covering(host) is not None) is covered


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("1.2.3.4", True),
        ("::1", True),
        ("1.2.3.0/24", True),
        ("1.2.3.4/16", True),
        ("::/0", True),
        ("1.2.3.4/33", False),
        ("1.2.3.4/255.0.0.0", False),
        ("1.2.3.4/", False),
        ("1.2.3.4/1/2", False),
        ("1.2.3", False),
        ("01.2.3.4", False),
        ("a.b", False),
        ("", False),
    ],
)
def test_address_or_block(text: str, fits: bool) -> None:
    assert (addresses.ip_or_block(text) is None) is fits


@pytest.mark.parametrize(
    ("path", "fits"), [("/a", True), ("@a", True), ("", False), ("a", False), ("/a/", False)]
)
def test_unix_path(path: str, fits: bool) -> None:
    assert (addresses.unix_path(path) is None) is fits


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("a|b.*", True),
        ("^/(v[12])/$", True),
        ("(?i)a", True),
        ("x" * 1024, True),
        ("x" * 1025, False),
        ("ä" * 513, False),
        ("(a", False),
        ("a(?=b)", False),
        ("*", False),
        ("", False),
    ],
)
def test_regex_is_re2_s(text: str, fits: bool) -> None:
    assert (texts.regex(text) is None) is fits


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ("plain", True),
        ("", True),
        ("100%%", True),
        ("a %HOSTNAME% b", True),
        ("%DYNAMIC_METADATA(a:b)%", True),
        ('%UPSTREAM_METADATA(["a", "b"])%', True),
        ('%UPSTREAM_METADATA(["a\\"", "b"])%', True),
        ("100%", False),
        ("abc%123", False),
        ("%START_TIME%%", False),
        ("%UPSTREAM_METADATA([a])%", False),
        ('%UPSTREAM_METADATA(["a"%', False),
        ("a\nb", False),
        ("a\tb", True),
    ],
)
def test_header_value(value: str, fits: bool) -> None:
    assert (texts.header_value(value) is None) is fits


@pytest.mark.parametrize(
    ("name", "claim"),
    [
        ("@request.auth.claims.sub", True),
        ("@request.auth.claims.a.b", True),
        ("@request.auth.claims[a.b][c]", True),
        ("@request.auth.claims", False),
        ("@request.auth.claims[]", False),
        ("x-claims", False),
    ],
)
def test_claim(name: str, claim: bool) -> None:
    assert texts.is_claim(name) is claim


@pytest.mark.parametrize(
    "text",
    [
        "response.code >= 400",
        "response.code",
        "true",
        "!has(request.headers['x-a']) || request.headers['x-a'] in ['b', \"c\"]",
        "a ? b : c ? d : e",
        "x.map(y, y + 1)[0].z(1, 2,)",
        "Type{a: 1, b: {'c': 2}}",
        ".a.b",
        'r"\\d" + """a"b"""',
        "-1.5e3 < 0x1Fu",
        "a // comment\n && b",
        "request.path.in",
    ],
)
def test_cel_is_an_expression(text: str) -> None:
    assert cel.syntax(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        "response.code >",
        "(a",
        "a)",
        "[1",
        "{1}",
        "a ? b",
        "a.",
        "'x",
        "#",
        "a &",
        "for",
        "f(,)",
        "(" * 500 + "a",
    ],
)
def test_cel_is_no_expression(text: str) -> None:
    assert cel.syntax(text)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("http://a", True),
        ("HTTPS://a:8080/b?c", True),
        ("http://[::1]:80", True),
        ("a.b/c", False),
        ("ftp://a", False),
        ("http://", False),
        ("https://a:port", False),
        ("https://a:99999", False),
        ("http\\\blah", False),
        ("http://a b", False),
    ],
)
def test_url(text: str, fits: bool) -> None:
    assert (urls.url(text, schemes=("http", "https")) is None) is fits


@pytest.mark.parametrize(
    ("localities", "fits"),
    [
        (["a", "b"], True),
        (["a/x", "a/y", "*"], True),
        (["a/x", "a/*"], True),
        (["a/x/1", "a/x/2", "a/y"], True),
        (["a", "a"], False),
        (["a", "a/x"], False),
        (["a/x", "a"], False),
        (["a/*", "a/x"], False),
        (["*", "a"], False),
        (["a//x"], False),
        (["a*b"], False),
        (["*/*"], False),
        ([""], False),
    ],
)
def test_localities_do_not_overlap(localities: list[str], fits: bool) -> None:
    assert (overlapping(localities) is None) is fits
