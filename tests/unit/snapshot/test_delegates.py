"""Routes that a VirtualService leaves to others."""

from __future__ import annotations

from typing import Any

import pytest
from world_in_yaml import obj, proxy, snapshot


def routes_of(root: dict[str, Any], delegate: dict[str, Any]) -> list[Any]:
    """The routes of a root with one route, and the delegate that it names."""
    to = {"route": [{"destination": {"host": "web"}}]}
    mesh = snapshot(
        obj("VirtualService", "root", {"hosts": ["a.com"], "http": [{"delegate": {"name": "d"}} | root]}),
        obj("VirtualService", "d", {"http": [to | delegate]}),
    )
    (found,) = mesh.view(proxy()).virtual_services
    return list(found.spec.http)


@pytest.mark.parametrize(
    ("root", "delegate", "both"),
    [
        pytest.param({}, {"exact": "/a"}, {"exact": "/a"}, id="root-takes-all"),
        pytest.param({"prefix": "/a"}, {}, {"prefix": "/a"}, id="delegate-takes-all"),
        pytest.param({"prefix": "/a"}, {"prefix": "/a/b"}, {"prefix": "/a/b"}, id="narrower"),
        pytest.param({"prefix": "/a"}, {"exact": "/a/b"}, {"exact": "/a/b"}, id="exact-within"),
        pytest.param({"prefix": "/a"}, {"prefix": "/b"}, None, id="apart"),
        pytest.param({"prefix": "/a"}, {"regex": "/a.*"}, None, id="regex-is-not-surely-within"),
        pytest.param({"exact": "/a"}, {"prefix": "/a"}, None, id="wider"),
    ],
)
def test_both_matches_must_be_met(
    root: dict[str, str], delegate: dict[str, str], both: dict[str, str] | None
) -> None:
    above, below = ({"match": [{"uri": uri}]} if uri else {} for uri in (root, delegate))
    found = [
        one.uri.model_dump(exclude_none=True)
        for route in routes_of(above, below)
        for one in route.match
        if one.uri
    ]
    assert found == ([both] if both else [])


def test_a_route_takes_from_the_root_what_it_does_not_say() -> None:
    (route,) = routes_of(
        {"name": "r", "timeout": "5s", "retries": {"attempts": 1}}, {"name": "d", "timeout": "1s"}
    )
    assert (route.name, str(route.timeout), route.retries.attempts, route.delegate) == ("r-d", "1s", 1, None)


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"exportTo": ["other"]}, id="not-exported-to-the-root"),
        pytest.param({"hosts": ["b.com"]}, id="not-a-delegate"),
    ],
)
def test_routes_that_cannot_be_had_are_left_out(spec: dict[str, Any]) -> None:
    mesh = snapshot(
        obj("VirtualService", "root", {"hosts": ["a.com"], "http": [{"delegate": {"name": "d"}}]}),
        obj("VirtualService", "d", {"http": [{"route": [{"destination": {"host": "web"}}]}]} | spec),
    )
    found = {one.meta.name: one.spec.http for one in mesh.view(proxy()).virtual_services}
    assert found["root"] == ()
