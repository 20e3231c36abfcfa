"""Conversations as plays: what the client says, what it is owed."""

from __future__ import annotations

import pytest
from envoy.service.discovery.v3 import discovery_pb2

from artemon.xds.request import Malformed, Request, TooMuch, parse_delta, parse_sotw
from artemon.xds.resource import Resource, Resources, content_version
from artemon.xds.session import MAX_TYPES, Accepted, Expired, Rejected, Session
from artemon.xds.subscription import Subscription
from artemon.xds.types import CLUSTER, ENDPOINTS, LISTENER, ROUTES
from artemon.xds.wire import Bodies


def resource(url: str, name: str, body: str = "1") -> Resource:
    return Resource(name, url, content_version(body.encode()), body.encode())


def desired(previous: Resources | None = None, **types: dict[str, str]) -> Resources:
    urls = {"cds": CLUSTER, "eds": ENDPOINTS, "lds": LISTENER, "rds": ROUTES}
    items = {
        urls[kind]: {name: resource(urls[kind], name, body) for name, body in named.items()}
        for kind, named in types.items()
    }
    return Resources.of(items, previous=previous)


def owed(session: Session, wanted: Resources, *, patient: bool = True) -> list[tuple[str, tuple, tuple]]:
    """What is sent: (type, names, removed)."""
    return [
        (one.type_url, tuple(item.name for item in one.resources), one.removed)
        for one in session.owed(wanted, patient=patient)
    ]


def ack(session: Session, url: str, wanted: Resources, **more: object) -> str:
    """Send what is owed and take it; the nonce of the type."""
    nonce = {one.type_url: one.nonce for one in session.owed(wanted)}[url]
    session.receive(Request(url, nonce=nonce, **more))  # type: ignore[arg-type]
    return nonce


def test_a_wildcard_client_gets_everything_once() -> None:
    session, wanted = Session(delta=True), desired(cds={"a": "1", "b": "1"})
    session.receive(Request(CLUSTER))
    [response] = session.owed(wanted)
    assert [item.name for item in response.resources] == ["a", "b"]
    assert not session.settled
    assert session.receive(Request(CLUSTER, nonce=response.nonce)) == [
        Accepted(CLUSTER, response.version, response.nonce)
    ]
    assert owed(session, wanted) == []
    assert session.settled


def test_a_wildcard_client_of_nothing_is_told_so() -> None:
    session = Session(delta=True)
    session.receive(Request(LISTENER))
    assert owed(session, desired()) == [(LISTENER, (), ())]


def test_a_reconnecting_client_gets_only_the_difference() -> None:
    session, wanted = Session(delta=True), desired(cds={"a": "1", "b": "2"})
    versions = {name: content_version(b"1") for name in ("a", "b", "gone")}
    session.receive(Request(CLUSTER, initial_versions=versions))
    assert owed(session, wanted) == [(CLUSTER, ("b",), ())]
    session.receive(Request(CLUSTER, nonce="00000000"))
    assert owed(session, wanted) == [(CLUSTER, (), ("gone",))]


def test_a_reconnecting_client_in_step_gets_nothing() -> None:
    session, wanted = Session(delta=True), desired(cds={"a": "1"})
    session.receive(Request(CLUSTER, initial_versions={"a": content_version(b"1")}))
    assert owed(session, wanted) == []


def test_a_reconnecting_client_in_step_gets_nothing_in_state_of_the_world() -> None:
    first, second, wanted = Session(delta=False), Session(delta=False), desired(cds={"a": "1"})
    first.receive(Request(CLUSTER))
    [response] = first.owed(wanted)
    second.receive(Request(CLUSTER, version=response.version))
    assert owed(second, wanted) == []


def test_a_name_that_does_not_exist_is_told_to_be_absent() -> None:
    session = Session(delta=True)
    session.receive(Request(ENDPOINTS, subscribe=("a",)))
    assert owed(session, desired()) == [(ENDPOINTS, (), ("a",))]


def test_a_name_asked_for_again_is_sent_again() -> None:
    session, wanted = Session(delta=True), desired(eds={"a": "1"})
    session.receive(Request(ENDPOINTS, subscribe=("a",)))
    ack(session, ENDPOINTS, wanted)
    session.receive(Request(ENDPOINTS, subscribe=("a",)))
    assert owed(session, wanted) == [(ENDPOINTS, ("a",), ())]


def test_endpoints_follow_their_changed_cluster() -> None:
    session, wanted = Session(delta=True), desired(cds={"a": "1", "b": "1"}, eds={"a": "1", "b": "1"})
    session.receive(Request(CLUSTER))
    ack(session, CLUSTER, wanted)
    session.receive(Request(ENDPOINTS, subscribe=("a", "b")))
    ack(session, ENDPOINTS, wanted)
    changed = desired(wanted, cds={"a": "2", "b": "1"}, eds={"a": "1", "b": "1"})
    assert owed(session, changed) == [(CLUSTER, ("a",), ()), (ENDPOINTS, ("a",), ())]


def test_endpoints_follow_a_cluster_that_changed_while_away() -> None:
    session, wanted = Session(delta=True), desired(cds={"a": "2"}, eds={"a": "1"})
    session.receive(Request(CLUSTER, initial_versions={"a": content_version(b"1")}))
    assert owed(session, wanted) == [(CLUSTER, ("a",), ())]
    session.receive(Request(ENDPOINTS, subscribe=("a",), initial_versions={"a": content_version(b"1")}))
    assert owed(session, wanted) == [(ENDPOINTS, ("a",), ())]


@pytest.fixture
def routed() -> tuple[Session, Resources]:
    """A client in step with one cluster behind one route."""
    session = Session(delta=True)
    wanted = desired(cds={"a": "1"}, eds={"a": "1"}, lds={"l": "1"}, rds={"r": "1"})
    session.receive(Request(CLUSTER))
    session.receive(Request(LISTENER))
    session.receive(Request(ENDPOINTS, subscribe=("a",)))
    session.receive(Request(ROUTES, subscribe=("r",)))
    while responses := session.owed(wanted):
        for response in responses:
            session.receive(Request(response.type_url, nonce=response.nonce))
    return session, wanted


def test_routes_wait_for_the_clusters_that_they_need(routed: tuple[Session, Resources]) -> None:
    session, before = routed
    types = {"eds": {"a": "1", "b": "1"}, "lds": {"l": "1"}, "rds": {"r": "to b"}}
    wanted = desired(before, cds={"a": "1", "b": "1"}, **types)
    [clusters] = session.owed(wanted)
    session.receive(Request(ENDPOINTS, subscribe=("b",)))
    assert owed(session, wanted) == [(ENDPOINTS, ("b",), ())]
    session.receive(Request(ENDPOINTS, nonce=f"{int(clusters.nonce, 16) + 1:08x}"))
    assert owed(session, wanted) == []
    session.receive(Request(CLUSTER, nonce=clusters.nonce))
    assert owed(session, wanted) == [(ROUTES, ("r",), ())]


def test_routes_do_not_wait_for_ever(routed: tuple[Session, Resources]) -> None:
    session, before = routed
    wanted = desired(before, cds={"a": "1", "b": "1"}, eds={"a": "1"}, lds={"l": "1"}, rds={"r": "to b"})
    assert owed(session, wanted) == [(CLUSTER, ("b",), ())]
    assert owed(session, wanted, patient=False) == [(ROUTES, ("r",), ())]


def test_a_cluster_goes_after_the_route_to_it(routed: tuple[Session, Resources]) -> None:
    session, before = routed
    wanted = desired(before, cds={}, eds={}, lds={"l": "1"}, rds={"r": "elsewhere"})
    [routes] = session.owed(wanted)
    assert routes.type_url == ROUTES
    session.receive(Request(ROUTES, nonce=routes.nonce))
    assert owed(session, wanted) == [(CLUSTER, (), ("a",))]


def test_one_response_is_in_flight_and_the_next_has_the_newest() -> None:
    session, first = Session(delta=True), desired(cds={"a": "1"})
    session.receive(Request(CLUSTER))
    [response] = session.owed(first)
    second = desired(first, cds={"a": "2"})
    third = desired(second, cds={"a": "3"})
    assert owed(session, second) == []
    session.receive(Request(CLUSTER, nonce=response.nonce))
    [last] = session.owed(third)
    assert last.resources[0].body == b"3"


def test_what_a_client_refuses_is_named_kept_back_and_tried_again_when_it_changes() -> None:
    session, wanted = Session(delta=True), desired(cds={"a": "1", "bad": "x", "c": "1"})
    session.receive(Request(CLUSTER))
    [response] = session.owed(wanted)
    reason = "Error adding/updating cluster(s) bad: no such thing"
    [event] = session.receive(Request(CLUSTER, nonce=response.nonce, error=reason))
    assert isinstance(event, Rejected)
    assert event.resources == (("bad", content_version(b"x")),)
    ack(session, CLUSTER, wanted)
    assert (owed(session, wanted), session.settled, session.refusing) == ([], True, {CLUSTER})
    mended = desired(wanted, cds={"a": "1", "bad": "y", "c": "1"})
    assert owed(session, mended) == [(CLUSTER, ("bad",), ())]


def test_in_state_of_the_world_the_last_good_version_stays_beside_what_is_new() -> None:
    session, wanted = Session(delta=False), desired(cds={"a": "1", "bad": "good"})
    session.receive(Request(CLUSTER))
    ack(session, CLUSTER, wanted)
    worse = desired(wanted, cds={"a": "2", "bad": "x"})
    [response] = session.owed(worse)
    session.receive(Request(CLUSTER, nonce=response.nonce, error="bad: no"))
    [again] = session.owed(worse)
    assert [(item.name, item.body) for item in again.resources] == [("a", b"2"), ("bad", b"good")]


def test_answers_to_old_responses_are_ignored() -> None:
    session, wanted = Session(delta=False), desired(cds={"a": "1"})
    session.receive(Request(CLUSTER))
    ack(session, CLUSTER, wanted)
    [_] = session.owed(desired(wanted, cds={"a": "2"}))
    assert session.receive(Request(CLUSTER, nonce="00000000", names=("x",))) == [Expired(CLUSTER, "00000000")]


@pytest.mark.parametrize(
    ("steps", "covered", "not_covered"),
    [
        pytest.param([((), ())], "xy", "", id="silence-is-everything"),
        pytest.param([((), ()), (("x",), ())], "xy", "", id="everything-and-a-name"),
        pytest.param([(("*",), ())], "xy", "", id="star"),
        pytest.param([(("*", "x"), ()), ((), ("*",))], "x", "y", id="star-given-back"),
        pytest.param([((), ()), ((), ("*",))], "", "xy", id="silent-everything-given-back"),
        pytest.param([(("x",), ()), ((), ("x",))], "", "xy", id="nothing-left"),
    ],
)
def test_what_a_delta_client_wants(steps: list, covered: str, not_covered: str) -> None:
    subscription = Subscription()
    for number, (added, removed) in enumerate(steps):
        subscription = subscription.changed(added, removed, first=number == 0, may_be_silent=True)
    assert all(subscription.covers(name) for name in covered)
    assert not any(subscription.covers(name) for name in not_covered)


@pytest.mark.parametrize(
    ("steps", "covered", "not_covered"),
    [
        pytest.param([()], "xy", "", id="silence-is-everything"),
        pytest.param([(), ()], "xy", "", id="still-silent"),
        pytest.param([(), ("x",)], "x", "y", id="names-end-silence"),
        pytest.param([(), ("x",), ()], "", "xy", id="then-silence-is-nothing"),
        pytest.param([("*",), ()], "", "xy", id="star-given-back"),
    ],
)
def test_what_a_state_of_the_world_client_wants(steps: list, covered: str, not_covered: str) -> None:
    subscription = Subscription()
    for number, names in enumerate(steps):
        subscription = subscription.replaced(names, first=number == 0, may_be_silent=True)
    assert all(subscription.covers(name) for name in covered)
    assert not any(subscription.covers(name) for name in not_covered)


def test_bytes_are_those_of_the_protocol_s_messages() -> None:
    session, wanted = Session(delta=True), desired(eds={"a": "x" * 300})
    session.receive(Request(ENDPOINTS, subscribe=("a", "gone")))
    [response] = session.owed(wanted)
    data = Bodies().encode(response, response.nonce, delta=True)
    message = discovery_pb2.DeltaDiscoveryResponse.FromString(data)
    assert (message.type_url, message.nonce) == (ENDPOINTS, "00000000")
    assert list(message.removed_resources) == ["gone"]
    [item] = message.resources
    assert (item.name, item.version) == ("a", content_version(b"x" * 300))
    assert (item.resource.type_url, item.resource.value) == (ENDPOINTS, b"x" * 300)
    whole = discovery_pb2.DiscoveryResponse.FromString(Bodies().encode(response, "1", delta=False))
    assert (whole.version_info, whole.resources[0].value) == (response.version, b"x" * 300)


@pytest.mark.parametrize("parse", [parse_delta, parse_sotw])
def test_what_is_no_request_is_malformed(parse) -> None:
    for data in (b"\xff", b"", discovery_pb2.DiscoveryRequest(version_info="1").SerializeToString()):
        with pytest.raises(Malformed):
            parse(data)


def test_a_subscription_has_its_limit_over_many_requests() -> None:
    session = Session(delta=True)
    session.receive(Request(ENDPOINTS, subscribe=tuple(str(number) for number in range(9_999))))
    with pytest.raises(TooMuch):
        session.receive(Request(ENDPOINTS, subscribe=("x", "y")))


def test_a_stream_has_a_limited_number_of_types() -> None:
    session = Session(delta=True)
    for number in range(MAX_TYPES):
        session.receive(Request(f"type{number}"))
    with pytest.raises(TooMuch):
        session.receive(Request("one more"))
