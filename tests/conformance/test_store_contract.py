"""Reading and writing: compare-and-set, transactions, limits."""

from __future__ import annotations

import asyncio

import pytest

from artemon.errors import ArtemonError, LeaseGone, StoreError, TooLarge
from artemon.store.api import ABSENT, MAX_TXN_OPS, MAX_VALUE, Check, Delete, Put, Store


async def test_what_is_written_is_read(store: Store, other: Store, prefix: str) -> None:
    written = await store.put(prefix + "a", b"\x00\xff")
    entry = await other.get(prefix + "a")
    assert written.ok
    assert entry is not None
    assert (entry.value, entry.version, entry.created) == (
        b"\x00\xff",
        written.position.revision,
        entry.version,
    )
    assert await other.get(prefix + "b") is None


async def test_a_version_grows_and_creation_stays(store: Store, prefix: str) -> None:
    first = (await store.put(prefix + "a", b"1")).position
    second = (await store.put(prefix + "a", b"1")).position
    entry = await store.get(prefix + "a")
    assert first < second
    assert (entry.version, entry.created) == (second.revision, first.revision)


async def test_compare_and_set(store: Store, prefix: str) -> None:
    key = prefix + "a"
    assert not (await store.put(key, b"1", if_version=7)).ok
    made = await store.put(key, b"1", if_version=ABSENT)
    assert made.ok
    assert (await store.put(key, b"2", if_version=ABSENT)).failed == (key,)
    assert not (await store.delete(key, if_version=made.position.revision - 1)).ok
    assert (await store.get(key)).value == b"1"
    assert (await store.delete(key, if_version=made.position.revision)).ok
    assert await store.get(key) is None
    assert (await store.put(key, b"3", if_version=ABSENT)).ok


async def test_of_many_writers_of_one_version_one_wins(store: Store, other: Store, prefix: str) -> None:
    writes = [
        where.put(prefix + "a", str(number).encode(), if_version=ABSENT)
        for number in range(10)
        for where in (store, other)
    ]
    results = await asyncio.gather(*writes)
    assert [result.ok for result in results].count(True) == 1


async def test_a_transaction_is_applied_whole(store: Store, prefix: str) -> None:
    await store.put(prefix + "old", b"")
    ops = [Put(prefix + "a", b"1"), Put(prefix + "b", b"2"), Delete(prefix + "old"), Delete(prefix + "never")]
    result = await store.txn([Check(prefix + "a", ABSENT)], ops)
    found = await store.list(prefix)
    assert result.ok
    assert [(entry.key, entry.version) for entry in found.entries] == [
        (prefix + "a", result.position.revision),
        (prefix + "b", result.position.revision),
    ]


async def test_a_transaction_with_a_failed_check_changes_nothing(store: Store, prefix: str) -> None:
    here = (await store.put(prefix + "here", b"")).position.revision
    checks = [
        *(Check(prefix + "here", here), Check(prefix + "here", created=here), Check(prefix + "gone", ABSENT)),
        *(Check(prefix + "x", 5), Check(prefix + "here", ABSENT), Check(prefix + "here", created=here - 1)),
    ]
    result = await store.txn(checks, [Put(prefix + "a", b"1"), Delete(prefix + "here")])
    assert (result.ok, result.failed) == (False, (prefix + "x", prefix + "here", prefix + "here"))
    assert [entry.key for entry in (await store.list(prefix)).entries] == [prefix + "here"]


async def test_a_list_has_one_prefix_sorted(store: Store, prefix: str) -> None:
    names = ["b", "a/~", "a", "a/-", "aa", "a.b"]
    for name in names:
        await store.put(prefix + name, b"")
    await store.put(prefix[:-1] + "0", b"a neighbour")
    found = await store.list(prefix)
    assert [entry.key for entry in found.entries] == sorted(prefix + name for name in names)
    assert [entry.key for entry in (await store.list(prefix + "a/")).entries] == [
        prefix + "a/-",
        prefix + "a/~",
    ]
    assert prefix + "a" in {entry.key for entry in (await store.list("")).entries}


async def test_a_list_of_12_megabytes(store: Store, prefix: str) -> None:
    for part in range(38):
        await store.txn([], [Put(f"{prefix}{part:02}/{number:02}", bytes(8000)) for number in range(40)])
    found = await store.list(prefix)
    assert len(found.entries) == 38 * 40
    assert sum(len(entry.value) for entry in found.entries) == 38 * 40 * 8000


async def test_the_largest_that_is_allowed(store: Store, prefix: str) -> None:
    assert (await store.put(prefix + "a", bytes(MAX_VALUE))).ok
    ops = [Put(f"{prefix}{number}", bytes(5800)) for number in range(MAX_TXN_OPS)]
    checks = [Check(op.key, ABSENT) for op in ops]
    assert (await store.txn(checks, ops)).ok


@pytest.mark.parametrize(
    ("ops", "error", "words"),
    [
        pytest.param([Put("a", bytes(MAX_VALUE + 1))], TooLarge, "a: the value has 262145 bytes", id="value"),
        pytest.param([Put(f"a{n}", b"") for n in range(65)], TooLarge, "at most 64 of each", id="operations"),
        pytest.param([Put(f"a{n}", bytes(200_000)) for n in range(2)], TooLarge, "split it", id="bytes"),
        pytest.param([Put("a", b""), Delete("a")], StoreError, "a: is written twice", id="twice"),
        pytest.param([], StoreError, "without an operation", id="nothing"),
        pytest.param([Put("/a", b"")], StoreError, "key '/a'", id="leading-slash"),
        pytest.param([Put("a b", b"")], StoreError, "key 'a b'", id="blank"),
        pytest.param([Put("", b"")], StoreError, "key ''", id="empty"),
        pytest.param([Put("a\n", b"")], StoreError, r"key 'a\\n'", id="newline"),
        pytest.param([Put("a" * 1025, b"")], TooLarge, "1025 characters", id="long-key"),
    ],
)
async def test_over_the_limits_is_refused(
    store: Store, ops: list[Put], error: type[ArtemonError], words: str
) -> None:
    with pytest.raises(error, match=words):
        await store.txn([], ops)


async def test_a_key_with_a_lease_that_is_gone_is_refused(store: Store, prefix: str) -> None:
    lease = await store.lease(5)
    await lease.revoke()
    with pytest.raises(LeaseGone):
        await store.txn([], [Put(prefix + "a", b""), Put(prefix + "b", b"", lease=lease.id)])
    assert (await store.list(prefix)).entries == ()


async def test_after_close_nothing_is_done(store: Store, prefix: str) -> None:
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        await store.put(prefix + "a", b"")
