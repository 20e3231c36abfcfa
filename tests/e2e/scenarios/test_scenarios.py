"""Every scenario of the table through running Envoys, and what `meshctl explain` says of the same calls."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
from scenario_calls import Noticed
from scenario_mesh import Mesh
from scenario_table import Expect, Scenario, scenarios

pytestmark = [pytest.mark.envoy, pytest.mark.e2e]
ALL = [pytest.param(one, id=one.id) for one in scenarios()]


def test_ids_are_unique() -> None:
    assert [name for name, count in Counter(one.id for one in scenarios()).items() if count > 1] == []


@pytest.mark.parametrize("scenario", ALL)
def test_envoy_does_it(scenario_mesh: Mesh, scenario: Scenario) -> None:
    for number, call in enumerate(scenario.calls):
        settle = 0.3 if call.expect.mirrored else 0.0
        noticed = scenario_mesh.caller.make(call, settle=settle)
        for check in CHECKS:
            check(call.expect, noticed, f"call {number}")


def _outcome(expect: Expect, noticed: Noticed, call: str) -> None:
    statuses = Counter(one.status for one in noticed.answers)
    if expect.closed:
        assert set(statuses) == {0}, call
    elif expect.statuses:
        _shares(statuses, expect.statuses, expect.within, call)
    elif not expect.grpc and not expect.grpcs:
        assert set(statuses) == {expect.status}, (call, noticed.answers[0])
    elif expect.grpcs:
        _shares(Counter(one.grpc for one in noticed.answers), expect.grpcs, expect.within, call)
    if expect.grpc:
        assert {one.grpc for one in noticed.answers} == {expect.grpc}, call


def _instances(expect: Expect, noticed: Noticed, call: str) -> None:
    instances = Counter(one.instance for one in noticed.answers)
    if expect.to:
        assert set(instances) == {expect.to}, call
    if expect.share:
        _shares(instances, expect.share, expect.within, call)
    if expect.sticky is not None:
        assert (len(instances) == 1) is expect.sticky, (call, instances)
    if expect.instances is not None:
        assert len(instances) == expect.instances, (call, instances)


def _answers(expect: Expect, noticed: Noticed, call: str) -> None:
    for answer in noticed.answers:
        got = {name: answer.headers.get(name) for name in expect.headers}
        assert got == expect.headers, call
        assert not [name for name in expect.no_headers if name in answer.headers], call
        for name, pattern in expect.header_like.items():
            assert re.fullmatch(pattern, answer.headers.get(name, "")), (call, answer.headers)
        assert answer.status == 200 or expect.refused in answer.body, (call, answer)
        if expect.body is not None:
            assert answer.body == expect.body, call
        if expect.took is not None:
            least, most = expect.took
            assert least <= answer.seconds <= most, (call, answer.seconds)


def _servers(expect: Expect, noticed: Noticed, call: str) -> None:
    if expect.attempts is not None:
        assert len(noticed.seen) == expect.attempts, (call, noticed)
    got = Counter(one.instance for one in noticed.seen)
    for instance, percent in expect.mirrored.items():
        share = 100 * got[instance] / len(noticed.answers)
        assert abs(share - percent) <= (expect.within if 0 < percent < 100 else 0), (call, share)
    for one in noticed.seen if expect.seen else ():
        facts: dict[str, Any] = {"path": one.path, "method": one.method, **one.headers, **one.facts}
        assert {name: facts.get(name) for name in expect.seen} == expect.seen, call
    for one in noticed.seen if expect.seen_like else ():
        for name, pattern in expect.seen_like.items():
            assert re.fullmatch(pattern, one.headers.get(name, "")), (call, one.headers)
    if expect.seen or expect.seen_like:
        assert noticed.seen, call
    if expect.through:
        assert noticed.passed_on, call
    if expect.connections is not None:
        assert len({one.facts["peer"] for one in noticed.seen}) == expect.connections, call


def _shares(found: Counter[Any], wanted: Any, within: float, call: str) -> None:
    total = sum(found.values())
    assert set(found) <= set(wanted), (call, found)
    for key, percent in wanted.items():
        share = 100 * found[key] / total
        assert abs(share - percent) <= (within if 0 < percent < 100 else 0), (call, key, share)


CHECKS = (_outcome, _instances, _answers, _servers)
