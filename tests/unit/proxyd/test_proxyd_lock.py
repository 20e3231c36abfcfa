"""One proxyd for one run directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from artemon.errors import ArtemonError
from proxyd.lock import alone_in


def test_a_second_one_is_told(tmp_path: Path) -> None:
    with (
        alone_in(tmp_path),
        pytest.raises(ArtemonError, match="in use by another proxyd"),
        alone_in(tmp_path),
    ):
        pass
    with alone_in(tmp_path):
        pass
