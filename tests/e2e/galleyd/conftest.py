"""A running galleyd, one for each test file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from served import Galleyd


@pytest.fixture(scope="module")
def galleyd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Galleyd]:
    server = Galleyd(tmp_path_factory.mktemp("galleyd"))
    server.start()
    yield server
    server.stop()
