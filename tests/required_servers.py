"""What a test asks for that cannot run without a real etcd or Consul."""

from __future__ import annotations

import pytest
from servers import find_consul, find_etcd


def require_etcd() -> None:
    """Skip where there is no etcd."""
    if find_etcd() is None:
        pytest.skip("no etcd: run .ci/servers, or set ARTEMON_ETCD")


def require_consul() -> None:
    """Skip where there is no Consul."""
    if find_consul() is None:
        pytest.skip("no Consul: run .ci/servers consul, or set ARTEMON_CONSUL")
