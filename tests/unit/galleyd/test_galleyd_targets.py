"""What Prometheus is told of proxies."""

from __future__ import annotations

import pytest

from artemon.errors import ArtemonError
from galleyd.targets import daemon_targets, targets


def test_every_connected_proxy_is_a_target() -> None:
    statuses = {
        "reviews-v1.shop": {"node": "sidecar~10.0.0.7~reviews-v1.shop~shop.svc.cluster.local"},
        "edge.ingress": {"node": "router~fd00::1~edge.ingress~ingress.svc.cluster.local"},
        "broken.shop": {"node": "what"},
    }
    edge, reviews = targets(statuses)
    assert edge["targets"] == ["[fd00::1]:15020"]
    assert edge["labels"]["kind"] == "router"
    assert reviews["targets"] == ["10.0.0.7:15020"]
    assert (reviews["labels"]["proxy"], reviews["labels"]["namespace"]) == ("reviews-v1", "shop")
    assert reviews["labels"]["__metrics_path__"] == "/stats/prometheus"


def test_every_daemon_is_a_target() -> None:
    (pilotd,) = daemon_targets(["pilotd=10.0.0.1:15112"])
    assert pilotd == {
        "targets": ["10.0.0.1:15112"],
        "labels": {"__metrics_path__": "/metrics", "daemon": "pilotd"},
    }
    for wrong in ("10.0.0.1:15112", "=10.0.0.1:15112", "pilotd=10.0.0.1", "pilotd"):
        with pytest.raises(ArtemonError, match=r"address|like"):
            daemon_targets([wrong])
