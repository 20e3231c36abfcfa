"""What Prometheus is told of proxies."""

from __future__ import annotations

from galleyd.targets import targets


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
