"""meshctl status: what /readyz of a daemon says is what an operator sees."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from meshctl.up.checks import Subject, daemons
from meshctl.up.layout import CONTROL_PLANE


class Answering:
    """An HTTP client to which every daemon says the same."""

    def __init__(self, **said: Any) -> None:
        self._said = {"ready": True, "waiting": {}, "degraded": {}, **said}

    @asynccontextmanager
    async def get(self, url: str) -> AsyncIterator[Any]:
        async def json() -> Any:
            return self._said

        yield SimpleNamespace(json=json)


@pytest.mark.parametrize(
    ("said", "detail"),
    [
        pytest.param({}, "", id="well"),
        pytest.param({"waiting": {"registry": "not read"}}, "registry: not read", id="waiting"),
        pytest.param(
            {"degraded": {"registry is silent": "etcd h:2379: permission denied"}},
            "registry is silent: etcd h:2379: permission denied",
            id="degraded",
        ),
    ],
)
async def test_a_daemon_is_well_when_it_waits_for_nothing_and_lacks_nothing(
    said: dict[str, Any], detail: str
) -> None:
    subject = Subject(SimpleNamespace(control="127.0.0.1"), {}, False, Answering(**said))  # type: ignore[arg-type]
    found = [check async for check in daemons(subject)]
    assert len(found) == len(CONTROL_PLANE)
    assert {(check.ok, check.detail) for check in found} == {(not detail, detail)}
