"""Filters that some requests do not see."""

from __future__ import annotations

import pytest
from envoy.extensions.filters.http.ext_authz.v3.ext_authz_pb2 import ExtAuthz
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter

from artemon.simulate.narrowed import within
from artemon.simulate.request import Request
from artemon.translate.narrowed import condition, negated, skipped_when
from artemon.translate.wire import packed

INNER = HttpFilter(name="x", typed_config=packed(ExtAuthz(stat_prefix="inner")))


@pytest.mark.parametrize(
    ("match", "seen"),
    [
        ('request.path == "/a?b"', True),
        ('request.path == "/a"', False),
        ('match(request.path, "/a*") && request.method == "GET"', True),
        ('match(request.path, "/a*") && request.method == "POST"', False),
        ('request.method == "POST" || request.headers["x-shop"].endsWith("ne")', True),
        ('request.headers["x-absent"] == "y"', False),
    ],
)
def test_a_request_sees_what_its_rule_could_be_about(match: str, seen: bool) -> None:
    wanted = condition(match)
    assert wanted is not None
    outer = skipped_when(negated(wanted), INNER)
    headers = {":path": "/a?b", ":method": "GET", ":authority": "h", "x-shop": "mine"}
    found = within(outer.typed_config, Request("/a", "b", {**headers, "x-shop": "none"}))
    assert (found == INNER.typed_config) is seen
    assert (found is None) is not seen
    assert within(INNER.typed_config, None) == INNER.typed_config
