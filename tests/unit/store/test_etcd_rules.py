"""The rules of the etcd client that need no server: what an answer means, when history is another one."""

from __future__ import annotations

import grpc
import grpc.aio
import pytest

from artemon.api.v1 import etcd_pb2 as pb
from artemon.errors import LeaseGone, StoreError, TooLarge, Unavailable, Unknown
from artemon.store.api import Batch, Bookmark, Deleted, Entry, Position, Snapshot
from artemon.store.etcd.client import Client, Compacted, NotAuthenticated, translate
from artemon.store.etcd.deliveries import Deliveries
from artemon.store.etcd.history import History
from artemon.store.etcd.member import Member
from artemon.store.etcd.settings import EtcdSettings, endpoints


def event(key: str, revision: int, *, gone: bool = False) -> pb.Event:
    kind = pb.Event.DELETE if gone else pb.Event.PUT
    return pb.Event(
        type=kind, kv=pb.KeyValue(key=key.encode(), mod_revision=revision, create_revision=revision)
    )


def answer(*events: pb.Event, revision: int = 99, **fields: object) -> pb.WatchResponse:
    return pb.WatchResponse(header=pb.ResponseHeader(revision=revision), events=events, **fields)


@pytest.fixture
def deliveries() -> Deliveries:
    return Deliveries(Snapshot((Entry("k", b"", 5, 5),), Position("e", 10)))


def test_it_resumes_after_the_last_event_not_at_the_servers_revision(deliveries: Deliveries) -> None:
    item = deliveries.receive(answer(event("a", 11), event("b", 12), revision=5000))
    assert isinstance(item, Batch)
    assert (item.position, deliveries.next) == (Position("e", 12), 13)
    assert deliveries.witness == ("b", 12)


def test_a_progress_notice_moves_on_and_created_does_not(deliveries: Deliveries) -> None:
    assert deliveries.receive(answer(revision=50, created=True)) is None
    assert deliveries.next == 11
    assert deliveries.receive(answer(revision=50)) == Bookmark(Position("e", 50))
    assert deliveries.receive(answer(revision=40)) == Bookmark(Position("e", 50))


def test_fragments_of_one_revision_are_delivered_whole(deliveries: Deliveries) -> None:
    assert deliveries.receive(answer(event("a", 11), fragment=True)) is None
    item = deliveries.receive(answer(event("b", 11), event("c", 12, gone=True)))
    assert [type(change) for change in item.changes] == [Entry, Entry, Deleted]
    assert deliveries.witness == ("c", 0)


def test_fragments_of_a_stream_that_broke_are_void(deliveries: Deliveries) -> None:
    deliveries.receive(answer(event("a", 11), fragment=True))
    deliveries.restart()
    item = deliveries.receive(answer(event("a", 11), event("b", 11)))
    assert [change.key for change in item.changes] == ["a", "b"]


def test_what_was_delivered_is_not_repeated(deliveries: Deliveries) -> None:
    assert deliveries.receive(answer(event("a", 9), event("b", 10))) is None
    item = deliveries.receive(answer(event("b", 10), event("c", 11)))
    assert [change.key for change in item.changes] == ["c"]


def test_what_was_not_told_or_told_otherwise_is_found(deliveries: Deliveries) -> None:
    deliveries.receive(answer(event("gone", 11), event("b", 12), event("gone", 13, gone=True)))
    held = [event("k", 5).kv, event("b", 12).kv]
    assert deliveries.told().differing(held, last=True) is None
    assert deliveries.told().differing(held[:1], last=True) == "b"
    assert deliveries.told().differing([*held, event("c", 13).kv], last=True) == "c"
    assert deliveries.told().differing([event("k", 6).kv, event("b", 12).kv], last=True) == "k"
    pages = deliveries.told()
    assert pages.differing(held[:1], last=False) is None
    assert pages.differing(held[1:], last=True) is None


def test_events_in_a_wrong_order_are_put_right(deliveries: Deliveries) -> None:
    item = deliveries.receive(answer(event("a", 12), event("a", 11)))
    assert [change.version for change in item.changes] == [11, 12]
    assert (item.position, deliveries.next) == (Position("e", 12), 13)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        pytest.param({"compact_revision": 20}, Compacted, id="compacted"),
        pytest.param({"cancel_reason": "etcdserver: invalid auth token"}, NotAuthenticated, id="token"),
        pytest.param({"cancel_reason": "etcdserver: no leader"}, Unavailable, id="no-leader"),
        pytest.param({"cancel_reason": "etcdserver: permission denied"}, StoreError, id="permission"),
    ],
)
def test_why_a_watch_was_cancelled(
    deliveries: Deliveries, fields: dict[str, object], error: type[StoreError]
) -> None:
    with pytest.raises(StoreError) as caught:
        deliveries.receive(answer(canceled=True, **fields))
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("cluster", "revision", "term", "another"),
    [
        pytest.param(1, 10, 2, False, id="same"),
        pytest.param(1, 11, 3, False, id="later"),
        pytest.param(2, 11, 3, True, id="another-cluster"),
        pytest.param(1, 9, 3, True, id="revision-fell"),
        pytest.param(1, 11, 1, True, id="term-fell"),
    ],
)
def test_when_history_is_another_one(cluster: int, revision: int, term: int, another: bool) -> None:
    history = History()
    history.answered(1, 10, 2, since=history.mark())
    before = history.epoch
    history.answered(cluster, revision, term, since=history.mark())
    assert (history.epoch != before) is another


def test_an_answer_that_was_overtaken_is_no_reset() -> None:
    history = History()
    history.answered(1, 10, 2, since=history.mark())
    slow = history.mark()
    history.answered(1, 20, 2, since=history.mark())
    epoch = history.epoch
    history.answered(1, 15, 2, since=slow)
    assert history.epoch == epoch


def test_what_a_watch_delivered_is_known() -> None:
    history = History()
    history.answered(1, 10, 2, since=history.mark())
    epoch = history.epoch
    history.delivered(epoch, 30)
    history.answered(1, 20, 2, since=history.mark())
    assert history.epoch != epoch


Code = grpc.StatusCode


@pytest.mark.parametrize(
    ("code", "details", "safe", "error"),
    [
        pytest.param(
            Code.UNAVAILABLE, "failed to connect to all addresses", False, Unavailable, id="not-sent"
        ),
        pytest.param(Code.UNAVAILABLE, "Socket closed", False, Unknown, id="cut-write"),
        pytest.param(Code.UNAVAILABLE, "Socket closed", True, Unavailable, id="cut-read"),
        pytest.param(Code.UNAVAILABLE, "etcdserver: leader changed", False, Unknown, id="leader-changed"),
        pytest.param(Code.DEADLINE_EXCEEDED, "Deadline Exceeded", False, Unknown, id="late-write"),
        pytest.param(Code.CANCELLED, "", False, Unknown, id="cancelled-write"),
        pytest.param(
            Code.NOT_FOUND, "etcdserver: requested lease not found", False, LeaseGone, id="lease-gone"
        ),
        pytest.param(
            Code.INVALID_ARGUMENT, "etcdserver: request is too large", False, TooLarge, id="too-large"
        ),
        pytest.param(
            Code.RESOURCE_EXHAUSTED,
            "etcdserver: mvcc: database space exceeded",
            False,
            Unavailable,
            id="full",
        ),
        pytest.param(
            Code.UNAUTHENTICATED, "etcdserver: invalid auth token", False, NotAuthenticated, id="token"
        ),
        pytest.param(Code.PERMISSION_DENIED, "etcdserver: permission denied", False, StoreError, id="denied"),
        pytest.param(
            Code.OUT_OF_RANGE,
            "etcdserver: mvcc: required revision has been compacted",
            True,
            Compacted,
            id="old",
        ),
    ],
)
def test_what_a_failed_call_means(
    code: grpc.StatusCode, details: str, safe: bool, error: type[StoreError]
) -> None:
    failure = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details=details)
    assert type(translate(failure, "h:1", safe=safe)) is error


@pytest.mark.parametrize("version", ["3.5.0", "3.5.1", "3.5.2", "3.5.2-rc.0"])
async def test_releases_that_lose_data_are_refused(version: str) -> None:
    member = Member("127.0.0.1:1", None, keepalive=10)
    with pytest.raises(StoreError, match=r"upgrade to 3\.5\.3"):
        member.judge(version)
    client = Client([member], user="", password="", timeout=1)
    with pytest.raises(StoreError, match="can lose data"):
        await client.ready(member)
    await client.close()


@pytest.mark.parametrize(
    ("version", "old"),
    [
        ("3.4.23", True),
        ("3.4.41", True),
        ("3.4.42", False),
        ("3.5.7", True),
        ("3.5.27", True),
        ("3.5.28", False),
        ("3.6.8", True),
        ("3.6.9", False),
        ("3.3.27", True),
        ("3.7.1", False),
    ],
)
async def test_old_releases_are_warned_of(version: str, old: bool, caplog: pytest.LogCaptureFixture) -> None:
    member = Member("127.0.0.1:1", None, keepalive=10)
    member.judge(version)
    await member.close()
    assert ("etcd_is_old" in caplog.text) is old
    assert not member.refused


async def test_a_failure_moves_on_to_the_next_member_that_may_be_used() -> None:
    members = [Member(f"127.0.0.1:{port}", None, keepalive=10) for port in (1, 2, 3)]
    client = Client(members, user="", password="", timeout=1)
    members[1].refused = "too old"
    client.leave(members[0])
    assert client.member is members[2]
    client.leave(members[0])  # another call noticed too late
    assert client.member is members[2]
    client.leave(members[2])
    assert client.member is members[0]
    await client.close()


@pytest.mark.parametrize(
    ("url", "settings", "targets", "tls"),
    [
        pytest.param("etcd://127.0.0.1", {}, ("127.0.0.1:2379",), False, id="loopback"),
        pytest.param("etcd://[::1]:9,localhost", {}, ("[::1]:9", "localhost:2379"), False, id="loopback-6"),
        pytest.param("etcd://a:1,b:2", {}, ("a:1", "b:2"), True, id="elsewhere"),
        pytest.param("etcd://127.0.0.1", {"ca": "x"}, ("127.0.0.1:2379",), True, id="loopback-with-ca"),
        pytest.param("etcd+https://127.0.0.1/", {}, ("127.0.0.1:2379",), True, id="https"),
        pytest.param("etcd+http://a", {"insecure": True}, ("a:2379",), False, id="insecure"),
    ],
)
def test_what_an_address_asks_for(
    url: str, settings: dict[str, object], targets: tuple[str, ...], tls: bool
) -> None:
    found = endpoints(url, EtcdSettings.model_validate(settings))
    assert (found.targets, found.tls) == (targets, tls)


@pytest.mark.parametrize(
    "hosts",
    ["10.0.0.1", "127.0.0.1,10.0.0.1", "10.0.0.1:2379,127.0.0.1", "localhost.example", "0.0.0.0", "[::]",
     "127.1",
     "[::ffff:10.0.0.1]", "[fe80::1]", "2130706433", "etcd", "127.0.0.1.example:2379"],
)  # fmt: skip
def test_t34_nothing_goes_in_the_clear_to_other_machines(hosts: str) -> None:
    with pytest.raises(StoreError, match="plaintext to another machine"):
        endpoints(f"etcd+http://{hosts}", EtcdSettings())
    assert endpoints(f"etcd://{hosts}", EtcdSettings()).tls
