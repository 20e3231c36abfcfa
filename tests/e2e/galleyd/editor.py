"""An editor for tests: changes a weight in a file (a number alone may be part of a UID): `OLD NEW FILE`."""

from __future__ import annotations

import sys
from pathlib import Path

old, new, name = sys.argv[1:]
file = Path(name)
file.write_text(file.read_text().replace(f"weight: {old}", f"weight: {new}"))
