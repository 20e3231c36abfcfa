"""The view: what is on trial, what is good, and when pilotd gets its answer."""

from __future__ import annotations

import pytest

from artemon.xds.client import Update
from artemon.xds.request import Request
from artemon.xds.resource import Resource
from artemon.xds.types import CLUSTER, ENDPOINTS, LISTENER
from proxyd.conversation import Conversation
from proxyd.view import Answer, View


def item(name: str, version: str, url: str = CLUSTER) -> Resource:
    return Resource(name, url, version, version.encode())


def update(nonce: str, *items: Resource, removed: tuple[str, ...] = (), url: str = CLUSTER) -> Update:
    return Update(url, nonce, {i.name: i for i in items}, frozenset(removed))


def view(*items: Resource, url: str = CLUSTER) -> View:
    return View({url: {i.name: i for i in items}})


def test_pilotd_is_answered_when_envoy_has_accepted() -> None:
    seen = view()
    seen.take(update("1", item("a", "v1"), item("b", "v1")))
    seen.accepted(CLUSTER, {"a": "v1"})
    assert seen.answers() == []
    seen.accepted(CLUSTER, {"b": "v1"})
    assert seen.answers() == [Answer(CLUSTER, "1")]
    assert seen.answers() == []
    assert seen.good()[CLUSTER].keys() == {"a", "b"}


def test_what_envoy_refuses_leaves_the_good_one_in_force() -> None:
    seen = view(item("a", "v1"))
    seen.take(update("1", item("a", "v2")))
    assert seen.desired()[CLUSTER].items["a"].version == "v2"
    seen.refused(CLUSTER, {"a": "v2"}, "bad port")
    assert seen.answers() == [Answer(CLUSTER, "1", "a: bad port")]
    assert seen.desired()[CLUSTER].items["a"].version == "v1"


def test_an_answer_about_an_older_version_does_not_count() -> None:
    seen = view()
    seen.take(update("1", item("a", "v1")))
    seen.take(update("2", item("a", "v2")))
    seen.accepted(CLUSTER, {"a": "v1"})
    assert seen.answers() == []
    seen.accepted(CLUSTER, {"a": "v2"})
    assert [answer.nonce for answer in seen.answers()] == ["1", "2"]


def test_a_new_stream_to_pilotd_claims_what_is_on_trial_so_that_it_is_corrected() -> None:
    seen = view(item("a", "v1"), item("b", "v1"))
    seen.take(update("1", item("a", "v2"), removed=("b",)))
    seen.restart()
    assert seen.held()[CLUSTER] == {"a": "v2"}
    seen.take(update("2", item("a", "v1"), item("b", "v1")))
    assert seen.answers() == [Answer(CLUSTER, "2")]


@pytest.mark.parametrize(
    ("url", "removed", "never_empty", "held_back"),
    [
        pytest.param(CLUSTER, ("a", "b"), (CLUSTER,), True, id="all-clusters"),
        pytest.param(CLUSTER, ("a",), (CLUSTER,), False, id="one-cluster"),
        pytest.param(LISTENER, ("a", "b"), (CLUSTER,), False, id="all-listeners-of-a-gateway"),
        pytest.param(LISTENER, ("a", "b"), (CLUSTER, LISTENER), True, id="all-listeners-of-a-sidecar"),
    ],
)
def test_the_removal_of_everything_is_held_back(
    url: str, removed: tuple[str, ...], never_empty: tuple[str, ...], held_back: bool
) -> None:
    good = {name: item(name, "v1", url) for name in ("a", "b")}
    seen = View({CLUSTER: {"x": item("x", "v1")}, url: good}, never_empty=never_empty)
    reason = seen.take(update("1", removed=removed, url=url))
    assert bool(reason) is held_back
    assert ("a" in seen.desired()[url].items) is held_back
    assert [bool(answer.error) for answer in seen.answers()] == ([True] if held_back else [])


def test_what_envoy_wants_no_more_is_forgotten() -> None:
    seen = view(item("a", "v1", ENDPOINTS), item("b", "v1", ENDPOINTS), url=ENDPOINTS)
    assert seen.wanted(ENDPOINTS) == {"a", "b"}
    seen.want(ENDPOINTS, frozenset({"a"}))
    assert seen.good()[ENDPOINTS].keys() == {"a"}


def test_a_new_envoy_waits_for_the_first_word_about_clusters() -> None:
    seen = view()
    conversation = Conversation(seen)
    conversation.receive(Request(CLUSTER))
    assert conversation.owed() == []
    assert not conversation.configured
    seen.take(update("1", item("a", "v1")))
    assert [response.type_url for response in conversation.owed()] == [CLUSTER]


def test_a_name_that_nobody_has_spoken_of_is_not_said_to_be_absent() -> None:
    seen = view()
    conversation = Conversation(seen)
    conversation.receive(Request(ENDPOINTS, subscribe=("a",)))
    assert conversation.owed() == []
    assert seen.wanted(ENDPOINTS) == {"a"}
    seen.take(update("1", removed=("a",), url=ENDPOINTS))
    (response,) = conversation.owed()
    assert response.removed == ("a",)
    assert seen.answers() == [Answer(ENDPOINTS, "1")]


def test_envoys_earlier_names_stay_until_it_is_steady() -> None:
    seen = view(item("a", "v1"))
    seen.want(ENDPOINTS, frozenset({"a", "old"}))
    conversation = Conversation(seen)
    for url in (CLUSTER, LISTENER):
        conversation.receive(Request(url))
        for response in conversation.owed():
            conversation.receive(Request(response.type_url, nonce=response.nonce))
    conversation.receive(Request(ENDPOINTS, subscribe=("a",)))
    conversation.owed()
    assert seen.wanted(ENDPOINTS) == {"a", "old"}
    conversation.steady()
    assert seen.wanted(ENDPOINTS) == {"a"}
