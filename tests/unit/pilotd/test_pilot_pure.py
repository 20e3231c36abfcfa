"""The parts of pilotd that decide without I/O: debounce, guard, nodes."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artemon.model.service import Health
from artemon.model.workload import Workload, encode_workload
from artemon.snapshot.changes import Change, Delete, Upsert
from artemon.snapshot.holds import Rules
from artemon.store.api import Entry
from artemon.xds.request import Malformed, Node, parse_delta, parse_sotw
from pilotd.debounce import Debounce
from pilotd.guard import Guard
from pilotd.node import WrongNode, proxy_of, workload_of
from pilotd.returning import PATIENCE_SECONDS, RETURN_SECONDS, Returning


def key(number: int, service: str = "reviews") -> str:
    return f"workloads/books/{service}/{service}-{number}"


def joined(number: int, service: str = "reviews", health: Health = Health.HEALTHY) -> Upsert:
    workload = Workload(f"n{number}", "books", service, f"10.0.0.{number}", health=health)
    return Upsert(key(number, service), workload)


def guarded(count: int, service: str = "reviews") -> Guard:
    guard = Guard(Rules(hold=300, restart=60, window=30))
    guard.admit([joined(number, service) for number in range(count)], now=0)
    return guard


def gone(*numbers: int, service: str = "reviews") -> list[Change]:
    return [Delete(key(number, service)) for number in numbers]


def test_the_first_change_goes_at_once_and_the_next_after_a_pause() -> None:
    debounce = Debounce(least=0.010, factor=3.0)
    assert debounce.wait(100.0) == 0
    debounce.worked(100.0, 100.001)
    assert debounce.wait(100.001) == pytest.approx(0.010)
    debounce.worked(100.011, 100.111)
    assert debounce.wait(100.111) == pytest.approx(0.3)
    assert debounce.wait(100.5) == 0


def test_one_of_many_that_vanished_goes() -> None:
    assert guarded(10).admit(gone(3), now=1) == gone(3)


def test_a_service_that_vanishes_is_held_until_its_time_is_over() -> None:
    guard = guarded(3)
    assert guard.admit(gone(0, 1, 2), now=1) == []
    assert (guard.due, len(guard.held)) == (301, 3)
    assert guard.release(now=300) == []
    assert guard.release(now=301) == gone(0, 1, 2)


@pytest.mark.parametrize("count", [1, 2])
def test_one_machine_can_take_all_of_a_small_service(count: int) -> None:
    guard = guarded(count)
    assert guard.admit(gone(*range(count)), now=1) == gone(*range(count))
    assert guard.held == ()


def test_vanishing_one_by_one_is_mass_removal_too() -> None:
    guard = guarded(4)
    passed = [len(guard.admit(gone(number), now=number)) for number in range(4)]
    assert passed == [1, 1, 0, 0]


def test_a_third_of_the_mesh_is_held_whatever_the_service() -> None:
    guard = Guard()
    every = [joined(number, f"s{number}{copy}") for number in range(5) for copy in "ab"]
    guard.admit([joined(n, f"s{s}") for s in range(10) for n in range(2)], now=0)
    guard.admit(every, now=0)
    assert guard.admit([Delete(key(0, f"s{s}")) for s in range(10)], now=1) == []


def test_whoever_said_goodbye_goes_at_once_even_all_of_them() -> None:
    guard = guarded(3)
    guard.admit([joined(number, health=Health.DRAINING) for number in range(3)], now=1)
    assert guard.admit(gone(0, 1, 2), now=2) == gone(0, 1, 2)


def test_who_comes_back_is_not_removed_later() -> None:
    guard = guarded(3)
    guard.admit(gone(0, 1, 2), now=1, restarting=True)
    guard.admit([joined(1)], now=5)
    assert guard.release(now=61) == gone(0, 2)


@pytest.mark.parametrize(
    ("known", "missing", "witnesses", "go"),
    [
        pytest.param(10, 1, 0, True, id="one-of-ten"),
        pytest.param(4, 1, 0, True, id="one-of-four"),
        pytest.param(2, 1, 0, True, id="one-of-two"),
        pytest.param(1, 1, 1, True, id="the-only-one-while-a-client-came-back"),
        pytest.param(1, 1, 0, False, id="the-only-one-and-nobody-came-back"),
        pytest.param(2, 2, 1, False, id="more-than-came-back"),
        pytest.param(3, 2, 9, False, id="most-of-a-service"),
        pytest.param(10, 4, 9, False, id="a-third-of-the-mesh"),
    ],
)
def test_who_does_not_come_back_after_a_restart(
    known: int, missing: int, witnesses: int, *, go: bool
) -> None:
    guard = guarded(known)
    lost = list(range(missing))
    assert guard.admit(gone(*lost[:1]), now=1, restarting=True) == []
    assert guard.admit(gone(*lost[1:]), now=5, restarting=True) == []
    assert guard.settle(now=8, witnesses=witnesses) == (gone(*lost) if go else [])
    assert len(guard.held) == (0 if go else missing)
    assert guard.settle(now=9, witnesses=99) == [], "it is judged once"
    assert len(guard.release(now=66)) == (0 if go else missing)


def test_who_came_back_is_not_judged() -> None:
    guard = guarded(3)
    guard.admit(gone(0), now=1, restarting=True)
    guard.admit([joined(0)], now=2)
    assert guard.settle(now=8, witnesses=3) == []
    assert guard.held == ()


def record(number: int, lease: str) -> Entry:
    return Entry(key(number), b"{}", 1, 1, lease)


def test_as_long_as_some_come_back_others_may() -> None:
    time = 100.0
    returning = Returning(now=lambda: time)
    returning.take([record(0, "old"), record(1, "old")])
    time += 600
    assert not returning.over, "nobody can come back before the registry is read"
    returning.open()
    time += RETURN_SECONDS - 1
    returning.take([record(0, "new")])
    time += RETURN_SECONDS - 1
    returning.take([record(0, "new")])  # its health changed: nobody came back
    assert not returning.over
    time += 1
    assert returning.over
    assert not returning.late


def test_nobody_is_waited_for_for_ever() -> None:
    time = 0.0
    returning = Returning(now=lambda: time)
    returning.open()
    while time < PATIENCE_SECONDS:
        assert not returning.over
        returning.take([record(0, str(time))])
        time += 1
    assert returning.over
    assert returning.late


def test_configuration_is_not_held() -> None:
    change = Delete("config/virtualservices/books/reviews")
    assert guarded(1).admit([change], now=1, restarting=True) == [change]


def test_a_node_becomes_a_proxy() -> None:
    metadata = {
        "SERVICE_ACCOUNT": "reviews",
        "LABELS": {"version": "v1"},
        "INSTANCE_IPS": "10.0.0.1, fd00::1",
        "INTERCEPTION_MODE": "NONE",
        "HTTP_PROXY_PORT": "15080",
        "ARTEMON_SERVICE": "reviews",
        "ARTEMON_PORTS": '[{"name": "http", "number": 80, "protocol": "HTTP", "listenPort": 9080}]',
    }
    proxy = proxy_of(Node("sidecar~10.0.0.1~reviews-1.books~books.svc.cluster.local", metadata=metadata))
    assert (proxy.name, proxy.namespace, proxy.ip_addresses) == (
        "reviews-1",
        "books",
        ("10.0.0.1", "fd00::1"),
    )
    assert (proxy.intercepts, proxy.http_proxy_port, proxy.labels) == (False, 15080, {"version": "v1"})
    port = proxy.ports[0]
    assert (port.number, port.listen_port, port.app_port) == (80, 9080, 9080)


@pytest.mark.parametrize(
    ("identifier", "metadata", "reason"),
    [
        pytest.param("x", {}, "node.id must be", id="not-four-parts"),
        pytest.param("pod~1.1.1.1~a.b~b.svc.c", {}, "type must be", id="unknown-type"),
        pytest.param("sidecar~1.1.1.1~a.b~c.svc.c", {}, "domain must begin", id="another-namespace"),
        pytest.param("sidecar~1.1.1.1~a/../b.b~b.svc.c", {}, "name must be", id="slash-in-name"),
        pytest.param("sidecar~1.1.1.1~a.b~b.svc.c", {"LABELS": 1}, "LABELS must be", id="labels"),
        pytest.param(
            "sidecar~1.1.1.1~a.b~b.svc.c", {"HTTP_PROXY_PORT": "70000"}, "0 to 65535", id="proxy-port"
        ),
        pytest.param("sidecar~1.1.1.1~a.b~b.svc.c", {"ARTEMON_PORTS": "{}"}, "a list", id="ports-no-list"),
        pytest.param(
            "sidecar~1.1.1.1~a.b~b.svc.c", {"ARTEMON_PORTS": "[1]"}, "ARTEMON_PORTS", id="port-is-number"
        ),
    ],
)
def test_a_wrong_node_says_what_is_wrong(identifier: str, metadata: dict, reason: str) -> None:
    with pytest.raises(WrongNode, match=reason):
        proxy_of(Node(identifier, metadata=metadata))


def json_values() -> st.SearchStrategy:
    scalars = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20)
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    )


KEYS = st.sampled_from(
    [
        "LABELS",
        "INSTANCE_IPS",
        "ARTEMON_PORTS",
        "ARTEMON_SERVICE",
        "ARTEMON_WEIGHT",
        "HTTP_PROXY_PORT",
        "NETWORK",
    ]
)
PORTS = st.lists(
    st.dictionaries(
        st.sampled_from(["name", "number", "protocol", "listenPort", "appPort"]), json_values(), max_size=5
    ),
    max_size=2,
)


@pytest.mark.slow
@given(
    st.sampled_from(["sidecar~10.0.0.1~a.b~b.svc.c", "router~::1~a.b~b.svc.c"]) | st.text(max_size=40),
    st.dictionaries(KEYS, json_values() | PORTS.map(json.dumps), max_size=4),
)
def test_any_node_is_a_proxy_or_wrong(identifier: str, metadata: dict) -> None:
    with suppress(WrongNode):
        workload = workload_of(proxy_of(Node(identifier, metadata=metadata)))
        assert workload is None or encode_workload(workload)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_malformed(data: bytes) -> None:
    for parse in (parse_delta, parse_sotw):
        with suppress(Malformed):
            parse(data)
