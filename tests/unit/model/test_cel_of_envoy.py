"""Which expressions Envoy evaluates."""

from __future__ import annotations

import pytest

from artemon.model.cel import as_envoy_names_it, unsupported, unsupported_in_label


@pytest.mark.parametrize(
    "text",
    [
        "response.code >= 400",
        "request.path.startsWith('/x') && has(request.headers.y)",
        "request.path.matches('^/(a|b)$')",
        "'string(1)' == request.path",
        "request.time.getHours() > 1",
    ],
)
def test_taken(text: str) -> None:
    assert unsupported(text) == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("string(response.code) == '200'", "string()"),
        ("request.headers.exists(k, k == 'a')", "exists()"),
        ("request.path.matches('(')", "regular expression"),
        ("upstream_peer.workload", "upstream_peer"),
        ("request.path.split('/')[0]", "split()"),
    ],
)
def test_not_taken(text: str, reason: str) -> None:
    assert reason in unsupported(text)


def test_what_ends_a_label_early() -> None:
    assert ")%" in unsupported_in_label("(a)%2")
    assert "one line" in unsupported_in_label("a\n+ b")
    assert unsupported_in_label("request.host") == ""


def test_node_is_renamed_outside_of_texts_alone() -> None:
    assert as_envoy_names_it("node.id + 'node.id' + a.node.id") == "xds.node.id + 'node.id' + a.node.id"
