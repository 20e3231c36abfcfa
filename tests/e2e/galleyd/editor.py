"""An editor for tests: replaces text in a file. `editor.py OLD NEW FILE`."""

from __future__ import annotations

import sys
from pathlib import Path

old, new, name = sys.argv[1:]
file = Path(name)
file.write_text(file.read_text().replace(old, new))
