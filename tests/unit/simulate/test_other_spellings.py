"""T28, T30: other spellings of what policies look for: addresses of two families, subjects with slashes,
claims that are no text, attributes nobody has. DENY misses none, ALLOW takes none for more than it is."""

from __future__ import annotations

from typing import Any

import pytest

from meshctl.commands.authz import checked

HERE = {"namespace": "default", "labels": {"app": "a"}}
ISSUER = "https://issuer.example"
Rule = dict[str, Any]


def allowed(action: str, rule: Rule, **call: Any) -> bool:
    policy = {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {"action": action, "rules": [rule]},
    }
    found: bool = checked([policy], HERE, {"port": 8080, "path": "/", "host": "a.example", **call})["allowed"]
    return found


def source(**fields: list[str]) -> Rule:
    return {"from": [{"source": fields}]}


def when(key: str, *values: str, **more: list[str]) -> Rule:
    return {"when": [{"key": key, **({"values": list(values)} if values else {}), **more}]}


def token(**claims: Any) -> dict[str, Any]:
    return {"claims": {"iss": ISSUER, "sub": "alice", **claims}}


@pytest.mark.parametrize("action", ["ALLOW", "DENY"])
@pytest.mark.parametrize(
    ("block", "address", "same"),
    [
        ("10.0.0.0/8", "::ffff:10.1.2.3", True),
        ("::ffff:10.0.0.0/104", "10.1.2.3", True),
        ("::ffff:10.0.0.0/104", "::ffff:10.1.2.3", True),
        ("::ffff:a01:203", "10.1.2.3", True),
        ("10.1.2.3/8", "10.9.9.9", True),
        ("::ffff:0:0/96", "192.0.2.1", True),
        ("0.0.0.0/0", "::ffff:192.0.2.1", True),
        ("0.0.0.0/0", "2001:db8::1", False),
        ("::ffff:10.0.0.0/104", "11.0.0.1", False),
        ("::ffff:0:0/95", "192.0.2.1", False),
        ("2001:db8::/32", "2001:DB8:0::9", True),
    ],
)
def test_addresses_of_two_families(action: str, block: str, address: str, same: bool) -> None:
    assert allowed(action, source(ipBlocks=[block]), sourceIP=address) == ((action == "ALLOW") == same)
    assert allowed(action, when("source.ip", block), sourceIP=address) == ((action == "ALLOW") == same)
    negated = when("source.ip", notValues=[block])
    assert allowed(action, negated, sourceIP=address) == ((action == "ALLOW") != same)


@pytest.mark.parametrize(
    ("value", "subject", "denied", "let_in"),
    [
        (f"{ISSUER}/alice", "alice", True, True),
        (f"{ISSUER}/team/alice", "team/alice", True, False),
        (f"{ISSUER}/spiffe://a.example/ns/b/sa/c", "spiffe://a.example/ns/b/sa/c", True, False),
        (f"{ISSUER}/team/*", "team/alice", True, False),
        (f"{ISSUER}/team/alice", "alice", False, False),
        (f"{ISSUER}/alice", "team/alice", False, False),
        ("*/alice", "team/alice", False, False),
    ],
)
def test_subjects_with_slashes(value: str, subject: str, denied: bool, let_in: bool) -> None:
    rule, call = source(requestPrincipals=[value]), token(sub=subject)
    assert allowed("DENY", rule, **call) is not denied
    assert allowed("ALLOW", rule, **call) is let_in


@pytest.mark.parametrize(
    ("value", "claim"),
    [
        ("true", True),
        ("false", False),
        ("7", 7),
        ("7", 7.0),
        ("-1.5", -1.5),
        ("true", [True]),
        ("7", ["a", 7]),
    ],
)
def test_claims_that_are_no_text(value: str, claim: Any) -> None:
    for key, claims in (("[a]", {"a": claim}), ("[a][b]", {"a": {"b": claim}})):
        rule = when(f"request.auth.claims{key}", value)
        assert not allowed("DENY", rule, **token(**claims))
        assert not allowed("ALLOW", rule, **token(**claims)), "as in Istio, ALLOW knows text alone"
        assert allowed("DENY", rule, **token(a="other"))


@pytest.mark.parametrize("claim", [True, 0, "x", ["x"], {"b": 1}])
def test_a_claim_that_is_there(claim: Any) -> None:
    assert not allowed("DENY", when("request.auth.claims[a]", "*"), **token(a=claim))
    assert allowed("DENY", when("request.auth.claims[a]", "*"), **token())


@pytest.mark.parametrize("key", ["request.headersx[a]", "request.header[a]", "source.user", "claims[a]", ""])
def test_attributes_that_nobody_has(key: str) -> None:
    """They are refused where they are written; in force they let nobody in, and keep nobody out less."""
    assert not allowed("ALLOW", when(key, "b"))
    assert not allowed("ALLOW", when(key, notValues=["b"]))
    assert not allowed("DENY", when(key, "b"))
