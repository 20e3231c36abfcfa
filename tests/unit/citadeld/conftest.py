"""A running citadeld."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from citadel_rig import Rig, running, settings_in


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(settings_in(tmp_path)) as found:
        yield found
