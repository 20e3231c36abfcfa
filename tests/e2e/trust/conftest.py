"""What is a measurement and no test runs only when asked to: `make revocations`."""

from __future__ import annotations

import os

collect_ignore = [] if "ARTEMON_REVOCATIONS" in os.environ else ["test_revocation_speed.py"]
