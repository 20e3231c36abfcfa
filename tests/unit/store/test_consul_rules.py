"""What Consul's answers deliver, how transactions are put to it, and what its failures mean."""

from __future__ import annotations

import base64
import json

import pytest

from artemon.errors import LeaseGone, StoreError, TooLarge, Unavailable, Unknown
from artemon.store.api import ABSENT, Batch, Bookmark, Check, Delete, Deleted, Entry, Position, Put
from artemon.store.consul.client import seconds
from artemon.store.consul.deliveries import Deliveries, History, WentBack
from artemon.store.consul.errors import Conflict, Denied, Fault, failure
from artemon.store.consul.transaction import NEVER, Moved, Transaction
from artemon.store.consul.tree import Item, entries_of, items_of


class Talk:
    """Deliveries, of entries as the test writes them."""

    def __init__(self, index: int, entries: tuple[Entry, ...]) -> None:
        self.deliveries = Deliveries(Position("e", index), items(entries), index)
        self.doubt = self.deliveries.doubt

    @property
    def ask(self) -> int:
        return self.deliveries.ask

    @property
    def position(self) -> Position:
        return self.deliveries.position

    def receive(self, index: int, entries: tuple[Entry, ...], *, early: bool) -> Batch | Bookmark:
        return self.deliveries.receive(index, items(entries), early=early)


def items(entries: tuple[Entry, ...]) -> tuple[Item, ...]:
    """As Consul says them."""
    rows = [
        {
            "LockIndex": 0,
            "Key": one.key,
            "Flags": 7,
            "Value": base64.b64encode(one.value).decode() if one.value else None,
            "CreateIndex": one.created,
            "ModifyIndex": one.version,
            **({"Session": one.lease} if one.lease else {}),
        }
        for one in entries
    ]
    found = items_of(json.dumps(rows).encode())
    assert entries_of(found) == entries
    return found


def at(index: int, *entries: Entry) -> Talk:
    return Talk(index, entries)


A3, B5 = Entry("a", b"1", 3, 3), Entry("b", b"1", 5, 5)


def test_a_change_and_a_delete_arrive_in_one_batch() -> None:
    found = at(5, A3, B5).receive(8, (Entry("a", b"2", 7, 3),), early=True)
    assert found == Batch((Entry("a", b"2", 7, 3), Deleted("b", 8)), Position("e", 8))


def test_a_key_that_is_new_again_was_deleted() -> None:
    found = at(5, A3).receive(9, (Entry("a", b"2", 9, 9),), early=True)
    assert found == Batch((Deleted("a", 8), Entry("a", b"2", 9, 9)), Position("e", 9))


def test_an_index_that_fell_without_a_change_is_no_reset_and_the_next_query_does_not_wait() -> None:
    deliveries = at(22, A3)
    assert deliveries.receive(16, (A3,), early=False) == Bookmark(Position("e", 22))
    assert deliveries.ask == 0
    assert deliveries.receive(16, (A3,), early=False) == Bookmark(Position("e", 22))
    assert deliveries.ask == 16


def test_an_answer_too_early_with_the_old_index_is_asked_again_without_waiting() -> None:
    deliveries = at(30, A3)
    deliveries.receive(30, (A3,), early=True)
    assert deliveries.ask == 0


def test_the_wait_is_over_and_nothing_happened() -> None:
    deliveries = at(30, A3)
    assert deliveries.receive(30, (A3,), early=False) == Bookmark(Position("e", 30))
    assert deliveries.ask == 30


@pytest.mark.parametrize(
    ("index", "entries"),
    [
        pytest.param(28, (A3,), id="a-key-is-gone-and-the-index-fell"),
        pytest.param(30, (A3,), id="a-key-is-gone-and-the-index-stands"),
        pytest.param(28, (A3, Entry("b", b"0", 4, 4)), id="an-older-version"),
        pytest.param(29, (A3, B5, Entry("c", b"", 29, 29)), id="an-unknown-old-key"),
    ],
)
def test_a_state_from_before_is_not_delivered(index: int, entries: tuple[Entry, ...]) -> None:
    deliveries = at(30, A3, B5)
    with pytest.raises(WentBack):
        deliveries.receive(index, entries, early=False)
    assert deliveries.receive(31, (A3, B5), early=False) == Bookmark(Position("e", 31))


def test_index_zero_is_asked_as_one() -> None:
    assert at(0).ask == 1


def test_a_write_below_what_is_known_begins_an_epoch() -> None:
    history = History()
    since = history.read(40)
    assert history.wrote(41, since).epoch == since.epoch
    assert history.wrote(7, since).epoch != since.epoch
    assert history.revision == 7


def verbs(transaction: Transaction) -> list[tuple[object, ...]]:
    return [(one["Verb"], one["Key"], one.get("Index")) for one in transaction.operations]


@pytest.mark.parametrize(
    ("checks", "ops", "known", "wanted"),
    [
        pytest.param([], [Put("a", b"")], {}, [("set", "a", None)], id="put"),
        pytest.param([Check("a", 7)], [Put("a", b"")], {}, [("cas", "a", 7)], id="compare-and-set-is-one"),
        pytest.param(
            [Check("a", ABSENT)],
            [Put("a", b"", "s")],
            {},
            [("check-not-exists", "a", None), ("lock", "a", None)],
            id="bound",
        ),
        pytest.param(
            [Check("r", created=4)],
            [Put("a", b"")],
            {"r": Entry("r", b"", 6, 4)},
            [("check-index", "r", 6), ("set", "a", None)],
            id="created",
        ),
        pytest.param(
            [Check("r", created=4)],
            [Put("a", b"")],
            {"r": Entry("r", b"", 6, 5)},
            [("check-index", "r", NEVER), ("set", "a", None)],
            id="created-anew",
        ),
        pytest.param(
            [],
            [Put("a", b"", "mine")],
            {"a": Entry("a", b"", 6, 5, "theirs")},
            [("unlock", "a", None), ("lock", "a", None)],
            id="bound-elsewhere",
        ),
        pytest.param(
            [Check("a", 3)],
            [Delete("a")],
            {},
            [("check-index", "a", 3), ("set", "a", None), ("delete", "a", None)],
            id="delete-tells-an-index",
        ),
    ],
)
def test_a_transaction_in_consuls_words(checks, ops, known, wanted) -> None:
    assert verbs(Transaction(checks, ops, known, 1)) == wanted


def refusal(transaction: Transaction, *faults: tuple[int, str]) -> tuple[str, ...]:
    return transaction.refused(Conflict(tuple(Fault(*fault) for fault in faults)))


def test_failed_checks_are_named_in_their_order() -> None:
    made = Transaction([Check("x", 5), Check("a", 3), Check("y", 0)], [Put("a", b"")], {}, 1)
    assert refusal(made, (0, "gone"), (2, "index is stale")) == ("x", "a")


def test_what_moved_in_between_is_read_again() -> None:
    made = Transaction([Check("r", created=4)], [Put("a", b"")], {"r": Entry("r", b"", 6, 4)}, 1)
    with pytest.raises(Moved) as moved:
        refusal(made, (0, "current modify index does not match"))
    assert moved.value.keys == {"r"}


def test_a_lease_that_is_over_and_one_of_another_are_told_apart() -> None:
    made = Transaction([], [Put("a", b"", "s")], {}, 1)
    with pytest.raises(LeaseGone):
        refusal(made, (0, 'invalid session "s"'))
    with pytest.raises(Moved):
        refusal(made, (0, 'failed to lock key "a", lock is already held'))


def test_more_than_consul_takes_is_refused() -> None:
    checks = [Check(f"c{n}", ABSENT) for n in range(64)]
    with pytest.raises(TooLarge):
        Transaction(checks, [Delete(f"d{n}") for n in range(64)], {}, 1)


@pytest.mark.parametrize(
    ("status", "body", "safe", "wanted"),
    [
        pytest.param(500, "No cluster leader", False, Unavailable, id="no-leader"),
        pytest.param(500, "rpc error making call: EOF", False, Unknown, id="lost-on-the-way"),
        pytest.param(500, "leadership lost while committing log", False, Unknown, id="leader-lost"),
        pytest.param(500, "rpc error making call: EOF", True, Unavailable, id="a-read"),
        pytest.param(403, "Permission denied: token lacks", False, Denied, id="denied"),
        pytest.param(403, "ACL not found", True, Denied, id="unknown-token"),
        pytest.param(429, "Your IP is issuing too many", False, Unavailable, id="connections"),
        pytest.param(413, "too large", False, TooLarge, id="too-large"),
        pytest.param(500, 'invalid session "x"', False, LeaseGone, id="session"),
        pytest.param(500, "Invalid Session TTL '1', must be", True, StoreError, id="ttl"),
    ],
)
def test_failures(status: int, body: str, safe: bool, wanted: type[StoreError]) -> None:
    assert type(failure("http://a", status, body, safe=safe)) is wanted


def test_a_conflict_names_its_operations() -> None:
    body = json.dumps({"Results": None, "Errors": [{"OpIndex": 2, "What": "stale"}]})
    problem = failure("http://a", 409, body, safe=False)
    assert isinstance(problem, Conflict)
    assert problem.faults == (Fault(2, "stale"),)


def test_an_operation_without_the_right_is_no_failed_check() -> None:
    body = json.dumps({"Errors": [{"OpIndex": 0, "What": "Permission denied: token lacks 'key:write'"}]})
    problem = failure("http://a", 409, body, safe=False)
    assert isinstance(problem, Denied)
    assert str(problem) == "consul http://a: Permission denied: token lacks 'key:write'"


@pytest.mark.parametrize(("text", "wanted"), [("10s", 10), ("1m30s", 90), ("200ms", 0.2), ("24h0m0s", 86400)])
def test_durations(text: str, wanted: float) -> None:
    assert seconds(text) == pytest.approx(wanted)
