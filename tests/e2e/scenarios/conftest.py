"""One mesh of all scenarios for all tests here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from scenario_mesh import Mesh, running_mesh


@pytest.fixture(scope="session")
def scenario_mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with running_mesh(tmp_path_factory.mktemp("scenarios")) as mesh:
        yield mesh
