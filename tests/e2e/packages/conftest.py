"""Packages are put on machines, with what other tests have for those."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / name) for name in ("machines", "proxyd")]
