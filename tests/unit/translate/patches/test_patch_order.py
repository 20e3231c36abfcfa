"""In which order patches are applied, whatever order they come in."""

from __future__ import annotations

import random
from typing import Any

import pytest
from patched_mesh import LUA, ROOT, WEB_80, Made, envoy_filter, made, patch

OUT = {"context": "SIDECAR_OUTBOUND", "listener": {"portNumber": 80}}


def first(name: str, **fields: Any) -> str:
    """An EnvoyFilter that puts a filter called like itself first."""
    script = {"name": name, "typed_config": {"@type": LUA}}
    return envoy_filter(patch("HTTP_FILTER", "INSERT_FIRST", script, **OUT), name=name, **fields)


def inserted(found: Made) -> list[str]:
    """The filters as they were put there, the first first."""
    return [one for one in reversed(found.http_filters("0.0.0.0_80")) if "." not in one]


LATER = "2026-02-01T00:00:00Z"


@pytest.mark.covers(
    "EnvoyFilter.priority",
)
@pytest.mark.parametrize(
    "filters",
    [
        pytest.param([first("a", priority=-1), first("b"), first("c", priority=7)], id="priority"),
        pytest.param([first("z", namespace=ROOT, created=LATER), first("a", namespace="default")], id="root"),
        pytest.param([first("b", priority=-1, namespace="default"), first("a")], id="priority-over-root"),
        pytest.param([first("b"), first("a", created=LATER)], id="age"),
        pytest.param([first("a"), first("b")], id="name"),
    ],
)
def test_order(filters: list[str]) -> None:
    names = [one.split('"name": "')[1][0] for one in filters]
    for seed in range(3):
        shuffled = random.Random(seed).sample(filters, len(filters))
        assert inserted(made(*shuffled)) == names


def test_the_patches_of_one_filter_keep_their_order() -> None:
    one, other = ({"connect_timeout": value} for value in ("1s", "2s"))
    patches = [patch("CLUSTER", "MERGE", value, cluster={"name": WEB_80}) for value in (one, other)]
    assert made(envoy_filter(*patches)).clusters[WEB_80]["connectTimeout"] == "2s"


def test_what_is_there_is_merged_before_something_is_added() -> None:
    """A virtual host that is added is not merged with the rest, wherever its patch stands."""
    added = {"name": "mine", "domains": ["mine"], "routes": []}
    patches = [
        patch("VIRTUAL_HOST", "ADD", added, context="SIDECAR_OUTBOUND"),
        patch("VIRTUAL_HOST", "MERGE", {"include_attempt_count_in_response": True}),
    ]
    hosts = made(envoy_filter(*patches)).virtual_hosts("80")
    told = [name for name, one in hosts.items() if one.get("includeAttemptCountInResponse")]
    assert "mine" in hosts
    assert set(told) == set(hosts) - {"mine"}


def test_an_inserted_filter_can_be_merged_with() -> None:
    """Filters of the list come first, then what is in them (Istio)."""
    match = OUT | {"listener": {"filterChain": {"filter": {
        "name": "envoy.filters.network.http_connection_manager", "subFilter": {"name": "a"}}}}}  # fmt: skip
    code = {"typed_config": {"@type": LUA, "default_source_code": {"inline_string": "x = 1"}}}
    filters = (first("a"), envoy_filter(patch("HTTP_FILTER", "MERGE", code, **match), name="b", priority=-5))
    found = made(*filters).manager("0.0.0.0_80")["httpFilters"][0]
    assert found["typedConfig"]["defaultSourceCode"] == {"inlineString": "x = 1"}
