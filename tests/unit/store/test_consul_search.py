"""What moved under a prefix of Consul's is found by small queries, whatever moved and whenever."""

from __future__ import annotations

import base64
import random
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from artemon.store.api import Batch, Deleted
from artemon.store.consul.client import Answer
from artemon.store.consul.deliveries import Deliveries, History, WentBack
from artemon.store.consul.keys import Keys, divide
from artemon.store.consul.reading import list_names, read_prefix
from artemon.store.consul.search import Search, Unclear
from artemon.store.consul.tree import Item

ROOT = "m/"


class Tree:
    """Consul's keys, as far as reading goes: an index of every prefix, tombstones, names one level deep."""

    def __init__(self) -> None:
        self.index, self.items, self.stones = 1, dict[str, Item](), dict[str, int]()
        self.keys, self.graves = Keys(), Keys()
        self.queries, self.read, self.between = 0, 0, lambda: None
        self.kv = SimpleNamespace(get=self.get)

    def put(self, *keys: str) -> None:
        self.index += 1
        for key in keys:
            created = self.items[key].created if key in self.items else self.index
            raw = msgspec.Raw(b'"' + base64.b64encode(str(self.index).encode()) + b'"')
            if key not in self.items:
                self.keys.add(key)
            self.items[key] = Item(key, self.index, created, raw)

    def delete(self, *keys: str) -> None:
        self.index += 1
        for key in keys:
            del self.items[key]
            self.keys.remove(key)
            if key not in self.stones:
                self.graves.add(key)
            self.stones[key] = self.index

    async def names(self, prefix: str, **_: Any) -> Answer:
        self._queried()
        found = set()
        for key in self.keys.under(prefix):
            rest = key.removeprefix(prefix)
            found.add(prefix + rest.partition("/")[0] + "/" * ("/" in rest))
        return Answer((self._newest(prefix), tuple(sorted(found))), {})

    async def tree(self, prefix: str, **_: Any) -> Answer:
        self._queried()
        found = tuple(self.items[key] for key in self.keys.under(prefix))
        self.read += len(found)
        return Answer((self._newest(prefix), found), {})

    async def item(self, key: str) -> Answer:
        self._queried()
        return Answer((self.items[key],) if key in self.items else (), {})

    async def get(self, *_: Any, **__: Any) -> None:
        """The question whether an empty answer is a refusal."""

    def _queried(self) -> None:
        self.queries += 1
        self.between()

    def _newest(self, prefix: str) -> int:
        alive = [self.items[key].version for key in self.keys.under(prefix)]
        dead = [self.stones[key] for key in self.graves.under(prefix)]
        return max([*alive, *dead], default=self.index)


async def follow(tree: Tree) -> Deliveries:
    reading = await read_prefix(tree, History(), ROOT)  # type: ignore[arg-type]
    return Deliveries(reading.position, reading.items, reading.index)


async def step(tree: Tree, deliveries: Deliveries) -> Any:
    """What one search delivers."""
    top = await list_names(tree, ROOT)  # type: ignore[arg-type]
    search = Search(tree, History(), deliveries.keys, deliveries.ask)  # type: ignore[arg-type]
    index, parts = await search.find(top)
    return deliveries.receive_parts(index, parts)


def filled(services: int = 30, instances: int = 100) -> Tree:
    tree = Tree()
    for service in range(services):
        tree.put(*(f"{ROOT}shop/s{service}/n{number}" for number in range(instances)))
    return tree


@pytest.mark.parametrize(
    ("change", "most"),
    [
        pytest.param(lambda tree: tree.put("m/shop/s7/n3"), 120, id="one-changes"),
        pytest.param(lambda tree: tree.put("m/shop/s7/new"), 120, id="one-comes"),
        pytest.param(lambda tree: tree.delete("m/shop/s7/n3"), 120, id="one-goes"),
        pytest.param(lambda tree: tree.put("m/shop/zz/n1"), 1, id="a-service-comes"),
        pytest.param(lambda tree: tree.put("m/bank/s7/n1"), 1, id="a-namespace-comes"),
        pytest.param(lambda tree: tree.put("m/shop/s"), 1, id="the-beginning-of-others"),
        pytest.param(
            lambda tree: tree.delete(*(f"m/shop/s7/n{n}" for n in range(100))), 120, id="a-service-goes"
        ),
        pytest.param(lambda tree: tree.put("m/shop/s7/n3", "m/shop/zz/n1"), 120, id="two-at-once"),
        pytest.param(lambda tree: tree.put("m/shop/s7/n3", "m/shop/s29/n1"), 220, id="far-from-one-another"),
    ],
)
async def test_little_is_read(change: Any, most: int) -> None:
    tree = filled()
    deliveries = await follow(tree)
    before = dict(tree.items)
    change(tree)
    tree.queries = tree.read = 0
    item = await step(tree, deliveries)
    assert isinstance(item, Batch)
    told = {one.key for one in item.changes}
    assert told == {key for key in before | tree.items if before.get(key) != tree.items.get(key)}
    assert {one.key for one in item.changes if isinstance(one, Deleted)} == before.keys() - tree.items.keys()
    assert tree.queries < 40
    assert tree.read <= most


@pytest.mark.parametrize("seed", range(12))
async def test_what_was_delivered_is_what_is_there(seed: int) -> None:
    """Also where keys change while they are looked for: a batch is of one moment."""
    dice, tree = random.Random(seed), filled(12, 40)
    deliveries = await follow(tree)
    copy = {key: item.version for key, item in tree.items.items()}
    history = {tree.index: dict(copy)}

    def change() -> None:
        _change(tree, dice)
        history[tree.index] = {key: item.version for key, item in tree.items.items()}

    tree.between = lambda: change() if dice.random() < 0.03 else None
    searched = 0
    for _ in range(40):
        change()
        try:
            item = await step(tree, deliveries)
            searched += 1
        except Unclear:
            quiet, tree.between = tree.between, lambda: None
            reading = await read_prefix(tree, History(), ROOT)  # type: ignore[arg-type]
            item, tree.between = deliveries.receive(reading.index, reading.items, early=True), quiet
        for one in item.changes if isinstance(item, Batch) else ():
            if isinstance(one, Deleted):
                copy.pop(one.key, None)
            else:
                copy[one.key] = one.version
        assert copy == history[deliveries.position.revision]
    assert searched > 5


def _change(tree: Tree, dice: random.Random) -> None:
    keys = sorted(tree.items)
    match dice.randrange(6):
        case 0:
            tree.put(f"{ROOT}shop/s{dice.randrange(40)}/n{dice.randrange(200)}")
        case 1:
            tree.delete(dice.choice(keys))
        case 2:
            service = dice.choice(keys).rpartition("/")[0] + "/"
            tree.delete(*[key for key in keys if key.startswith(service)][:20])
        case 3:
            tree.put(*dice.sample(keys, 3), f"{ROOT}{dice.choice('abz')}/s1/n{dice.randrange(9)}")
        case 4:
            key = dice.choice(keys)
            tree.delete(key)
            tree.put(key)
        case _:
            tree.put(dice.choice(keys))


async def test_when_most_of_it_moved_all_is_read() -> None:
    tree = filled()
    deliveries = await follow(tree)
    for service in range(30):
        tree.put(f"{ROOT}shop/s{service}/n1")
    with pytest.raises(Unclear, match=r"most of it|queries"):
        await step(tree, deliveries)


async def test_a_prefix_that_never_rests_is_read_whole() -> None:
    tree = filled()
    deliveries = await follow(tree)
    tree.put("m/shop/s1/n1")
    tree.between = lambda: tree.put("m/shop/s2/n2")
    with pytest.raises(Unclear, match="moves faster"):
        await step(tree, deliveries)


async def test_a_move_that_nothing_below_explains_is_no_answer() -> None:
    """As when the queries were answered by servers that are not equally far."""
    tree = filled()
    deliveries = await follow(tree)
    old = tree.items["m/shop/s1/n1"]
    tree.put("m/shop/s1/n1")
    top = await list_names(tree, ROOT)  # type: ignore[arg-type]
    search = Search(tree, History(), deliveries.keys, deliveries.ask)  # type: ignore[arg-type]
    tree.items["m/shop/s1/n1"] = old
    with pytest.raises(Unclear, match="nothing below"):
        await search.find(top)


async def test_parts_from_before_are_refused() -> None:
    tree = filled()
    deliveries = await follow(tree)
    old = tree.items["m/shop/s1/n1"]
    tree.put("m/shop/s1/n1")
    await step(tree, deliveries)
    tree.items["m/shop/s1/n1"] = old
    tree.put("m/shop/s1/n2")
    with pytest.raises(WentBack):
        await step(tree, deliveries)


@pytest.mark.parametrize(
    ("one", "other", "prefixes", "whole"),
    [
        (["a/"], ["a/1", "a/2"], {"a/"}, ""),
        (["a/", "b/"], ["a/1"], {"a", "b"}, ""),
        (["a/n1", "a/n10", "a/n11"], [], {"a/n10", "a/n11"}, "a/n1"),
        (["a/n1"], ["a/n1"], set(), "a/n1"),
        (["x1", "y"], ["x2", "z"], {"x", "y", "z"}, ""),
        ([], [], set(), ""),
    ],
)
def test_keys_divide(one: list[str], other: list[str], prefixes: set[str], whole: str) -> None:
    assert divide(one, other) == (prefixes, whole)


def test_keys_are_found_by_their_beginning() -> None:
    keys = Keys(["b/1", "a/2", "a/1", "ab"])
    keys.add("a/3")
    keys.remove("a/1")
    assert list(keys.under("a/")) == ["a/2", "a/3"]
    assert (keys.count("a"), keys.count("c"), keys.count(""), len(keys)) == (3, 0, 4, 4)
