"""Fleets have what other tests have for machines."""

from __future__ import annotations

import sys
from pathlib import Path

E2E = Path(__file__).parents[1] / "e2e"
sys.path[:0] = [str(E2E / name) for name in ("machines", "proxyd")]
