"""How proxies spread over several pilotds."""

from __future__ import annotations

from collections import Counter

from proxyd.upstream import by_preference

PILOTS = ("10.0.0.1:15012", "10.0.0.2:15012", "10.0.0.3:15012")


def test_proxies_spread_evenly_and_always_choose_the_same() -> None:
    nodes = [f"sidecar~10.1.0.{n}~web-{n}.shop~shop.svc.cluster.local" for n in range(300)]
    chosen = Counter(by_preference(PILOTS, node)[0] for node in nodes)
    assert set(chosen) == set(PILOTS)
    assert min(chosen.values()) > 70
    for node in nodes:
        assert by_preference(reversed(PILOTS), node) == by_preference(PILOTS, node)


def test_without_one_only_its_own_proxies_choose_again() -> None:
    for number in range(100):
        node = f"sidecar~10.1.0.{number}~web.shop~shop.svc.cluster.local"
        first, *rest = by_preference(PILOTS, node)
        assert by_preference([one for one in PILOTS if one != first], node) == tuple(rest)
