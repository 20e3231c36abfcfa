"""From entries of access logs to handlers: what rules choose, what waits, what is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from adapter_ends import NOW
from envoy.data.accesslog.v3.accesslog_pb2 import HTTPAccessLogEntry, TCPAccessLogEntry
from prometheus_client import CollectorRegistry

from artemon.adapters import Adapter, Handler, Params, Place, Row, Unacceptable
from artemon.adapters.catalog import named
from artemon.adapters.rulebook import rulebook
from artemon.expr import VOCABULARY
from artemon.expr.values import json_value
from artemon.log import Log
from artemon.model.decode import decode
from mixerd.attributes import READERS, Bag
from mixerd.dispatch import Dispatch
from mixerd.handling import Handlers, Pauses, size_of
from mixerd.reading import connection, request
from mixerd.records import Reporter

REVIEWS, PAGE = Reporter("shop", "reviews", "reviews-v2", "v2"), Reporter("shop", "page", "page-v1", "v1")


@dataclass
class Probe(Handler):
    """Keeps rows; fails as it is told."""

    got: list[Row] = field(default_factory=list)
    fail: Exception | None = None
    closed: bool = False

    async def report(self, rows: Sequence[Row]) -> None:
        if self.fail:
            raise self.fail
        self.got += rows

    async def close(self) -> None:
        self.closed = True


class Bench:
    """Rules in force, over probes."""

    def __init__(self, folder: Path, tasks: asyncio.TaskGroup, most_bytes: int = 10_000_000) -> None:
        self.metrics, self._tasks = CollectorRegistry(), tasks
        log = Log("mixerd")
        self.handlers = Handlers(
            folder=folder,
            metrics=self.metrics,
            log=log,
            now=lambda: NOW,
            most_bytes=most_bytes,
            pauses=Pauses(0.01, 0.01, 0.01),
        )
        self.dispatch = Dispatch(self.handlers, self.metrics, log, root="istio-system")
        self.probes: dict[str, Probe] = {}

    def _open(self, _: Params, place: Place) -> Probe:
        self.probes[place.name] = Probe()
        return self.probes[place.name]

    def _named(self, name: str) -> Adapter:
        probe = Adapter(Params, frozenset({"logentry", "metric"}), self._open)
        return probe if name == "probe" else named(name)

    async def become(self, *objects: dict[str, Any]) -> None:
        book = rulebook([decode(one) for one in objects], root="istio-system", adapter=self._named)
        assert book.problems == {}
        await self.handlers.become(book.handlers, self._tasks)
        self.dispatch.become(book)

    def take(self, entry: Any, reporter: Reporter = REVIEWS) -> None:
        self.dispatch.take(entry, request(entry, reporter))

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def running(folder: Path, **options: Any) -> AsyncIterator[Bench]:
    async with asyncio.TaskGroup() as tasks:
        bench = Bench(folder, tasks, **options)
        yield bench
        await bench.handlers.close()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.005)


def inbound(**fields: Any) -> HTTPAccessLogEntry:
    out = HTTPAccessLogEntry()
    common = out.common_properties
    common.upstream_cluster = "inbound|9080||"
    common.start_time.FromSeconds(1_700_000_000)
    common.time_to_last_downstream_tx_byte.FromMilliseconds(20)
    common.downstream_direct_remote_address.socket_address.address = "10.0.0.7"
    common.upstream_remote_address.socket_address.address = "::1"
    common.upstream_remote_address.socket_address.port_value = 9080
    peer = common.tls_properties.peer_certificate_properties
    peer.subject_alt_name.add(uri="spiffe://td/ns/shop/sa/page")
    peer.subject = "UID=page-v1/page/v1/page/v1/east"
    common.tls_properties.local_certificate_properties.subject_alt_name.add(uri="spiffe://td/ns/shop/sa/rev")
    common.custom_tags["shop.team"], common.custom_tags["shop.tries"] = "blue", "many"
    out.request.path, out.request.request_method = fields.get("path", "/reviews/1?x=y"), 1
    out.request.authority, out.request.user_agent = "reviews:9080", "curl/8"
    out.request.request_headers["x-shop"] = "mine"
    out.request.request_body_bytes, out.request.request_headers_bytes = 5, 100
    out.response.response_code.value = fields.get("code", 200)
    return out


def obj(kind: str, name: str, spec: dict[str, Any], namespace: str = "shop") -> dict[str, Any]:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "config.istio.io/v1alpha2", "kind": kind, "metadata": meta, "spec": spec}


def rules(match: str = "", namespace: str = "shop", **variables: str) -> list[dict[str, Any]]:
    params = {"variables": variables or {"path": "request.path"}}
    return [
        obj("rule", "all", {"match": match, "actions": [{"handler": "x", "instances": ["line"]}]}, namespace),
        obj("handler", "x", {"compiledAdapter": "probe"}, namespace),
        obj("instance", "line", {"compiledTemplate": "logentry", "params": params}, namespace),
    ]


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("source.workload.name", "page-v1"),
        ("source.namespace", "shop"),
        ("source.principal", "td/ns/shop/sa/page"),
        ("destination.principal", "td/ns/shop/sa/rev"),
        ("source.labels", {"app": "page"}),
        ("destination.labels", {"app": "reviews", "version": "v2"}),
        ("source.ip", {"$ip": "10.0.0.7"}),
        ("destination.ip", {"$ip": "::1"}),
        ("destination.port", 9080),
        ("destination.service.host", "reviews.shop.svc.cluster.local"),
        ("destination.workload.name", "reviews-v2"),
        ("request.url_path", "/reviews/1"),
        ("request.method", "GET"),
        ("request.headers", {"x-shop": "mine"}),
        ("request.total_size", 105),
        ("request.useragent", "curl/8"),
        ("request.referer", None),
        ("response.code", 200),
        ("response.duration", {"$duration": "0.02s"}),
        ("connection.mtls", True),
        ("connection.sent.bytes", None),
        ("context.protocol", "http"),
        ("context.reporter.kind", "inbound"),
        ("context.proxy_error_code", "-"),
        ("shop.team", "blue"),
        ("shop.tries", None),
        ("shop.absent", None),
    ],
)
def test_attributes(attribute: str, value: Any) -> None:
    entry = inbound()
    manifest: Any = {"shop.team": "STRING", "shop.tries": "INT64", "shop.absent": "STRING"}
    found = Bag(entry, request(entry, REVIEWS), manifest).get(attribute)
    assert (None if found is None else json_value(found)) == value


def test_every_attribute_that_is_read_is_in_the_vocabulary_but_one() -> None:
    assert READERS.keys() - VOCABULARY.keys() <= {"context.time"}


def test_attributes_of_a_connection() -> None:
    entry = TCPAccessLogEntry()
    common = entry.common_properties
    common.upstream_cluster = "outbound|5432||db.shop.svc.cluster.local"
    common.downstream_wire_bytes_sent = 7
    bag = Bag(entry, connection(entry, PAGE), {})
    wanted = {
        "context.protocol": "tcp",
        "connection.sent.bytes": 7,
        "request.size": None,
        "response.code": None,
        "destination.service.host": "db.shop.svc.cluster.local",
        "context.reporter.kind": "outbound",
    }
    assert {name: bag.get(name) for name in wanted} == wanted


async def test_a_rule_chooses(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        await bench.become(*rules('request.headers["x-shop"] == "mine" && response.code >= 500'))
        bench.take(inbound())
        bench.take(inbound(code=503, path="/broken"))
        probe = bench.probes["shop/x"]
        await until(lambda: bool(probe.got))
        (row,) = probe.got
        assert (row.instance, row.template, row.values) == (
            "shop/line",
            "logentry",
            {"variables": {"path": "/broken"}},
        )


@pytest.mark.parametrize(("namespace", "rows"), [("shop", 1), ("other", 0), ("istio-system", 1)])
async def test_whose_rules_count(tmp_path: Path, namespace: str, rows: int) -> None:
    async with running(tmp_path) as bench:
        await bench.become(*rules(namespace=namespace))
        bench.take(inbound())
        assert len(bench.handlers.running[f"{namespace}/x"].rows) == rows


async def test_what_gives_no_value_is_counted(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        await bench.become(*rules(referer="request.referer"))
        bench.take(inbound())
        bench.take(inbound())
        assert bench.count("mixerd_rule_errors_total", rule="shop/all") == 2
        assert not bench.handlers.running["shop/x"].rows


async def test_a_handler_that_fails_gets_everything_later(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        await bench.become(*rules())
        probe, running_ = bench.probes["shop/x"], bench.handlers.running["shop/x"]
        probe.fail = OSError("nobody there")
        for number in range(3):
            bench.take(inbound(path=f"/{number}"))
        await until(lambda: bool(running_.failing))
        (status,) = bench.handlers.status()
        assert (status["state"], status["reason"], status["waiting"]) == ("failing", "nobody there", 3)
        probe.fail = None
        await until(lambda: len(probe.got) == 3)
        await until(lambda: bench.handlers.status()[0]["state"] == "ok")
        assert [row.values["variables"]["path"] for row in probe.got] == ["/0", "/1", "/2"]
        assert bench.handlers.budget.used == 0


async def test_waiting_rows_are_bounded_by_bytes(tmp_path: Path) -> None:
    async with running(tmp_path, most_bytes=100_000) as bench:
        await bench.become(*rules())
        bench.probes["shop/x"].fail = OSError("nobody there")
        for _ in range(200):
            bench.take(inbound(path="/" + "x" * 900))
        (status,) = bench.handlers.status()
        assert 80_000 < status["waitingBytes"] <= 100_000
        assert status["dropped"] == 200 - status["waiting"] > 0
        lost = bench.count("mixerd_rows_dropped_total", handler="shop/x", reason="full")
        assert lost == status["dropped"]
        assert bench.count("mixerd_rows_bytes") == status["waitingBytes"]


@pytest.mark.parametrize(
    ("error", "reason", "state"),
    [(Unacceptable("too long"), "refused", "ok"), (ZeroDivisionError("oops"), "broken", "failing")],
)
async def test_rows_that_are_never_taken(tmp_path: Path, error: Exception, reason: str, state: str) -> None:
    async with running(tmp_path) as bench:
        await bench.become(*rules())
        bench.probes["shop/x"].fail = error
        bench.take(inbound())
        await until(lambda: bench.count("mixerd_rows_dropped_total", handler="shop/x", reason=reason) == 1)
        assert bench.handlers.status()[0]["state"] == state
        assert bench.handlers.budget.used == 0


async def test_rules_change(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        await bench.become(*rules())
        first = bench.probes["shop/x"]
        bench.take(inbound())
        await bench.become(*rules(match="false"))
        assert bench.probes["shop/x"] is first, "a handler that is the same goes on"
        await bench.become()
        assert first.closed
        assert len(first.got) == 1, "what waited was sent before"
        assert bench.handlers.status() == []


def test_a_handler_that_cannot_be_opened_is_shown(tmp_path: Path) -> None:
    async def play() -> None:
        metric = {"name": "hits", "instance_name": "hits", "kind": "COUNTER"}
        params = {"metrics": [metric]}
        twice = [obj("handler", n, {"compiledAdapter": "prometheus", "params": params}) for n in ("a", "b")]
        async with running(tmp_path) as bench:
            await bench.become(*twice)
            ok, bad = bench.handlers.status()
            assert (ok["state"], bad["state"]) == ("ok", "refused")
            assert "another handler has a metric of this name" in bad["reason"]

    asyncio.run(play())


def test_sizes() -> None:
    assert size_of({"a": "x" * 1000, "b": {"c": "y" * 1000}}) > 2000
