"""The dashboard of a mixerd that heard of a mesh of any size, served as galleyd serves it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from prometheus_client import CollectorRegistry

from artemon.log import Log
from galleyd.relay import PAGE_POLICY
from mixerd.counts import Counts
from mixerd.desk import Desk
from mixerd.keep import Keep
from mixerd.pages import DASHBOARD, Pages
from mixerd.records import DESTINATION, SOURCE, Call, Span

NOW = 1_790_000_000.0
NAMES = (
    "catalog", "cart", "checkout", "payments", "stock", "search", "prices", "mail", "accounts", "reviews",
    "recommendations-personalised-aggregator", "shipping", "returns", "vouchers", "fraud", "ledger",
)  # fmt: skip
SPACES = ("shop", "platform", "warehouse-and-logistics")


def services(count: int) -> list[tuple[str, str]]:
    """(namespace, service), the gateway first."""
    made = [("istio-system", "istio-ingressgateway")]
    for number in range(count - 1):
        turn, name = divmod(number, len(NAMES))
        made.append((SPACES[number % len(SPACES)], f"{NAMES[name]}-{turn}" if turn else NAMES[name]))
    return made


def ways(count: int) -> Iterator[tuple[int, int]]:
    """Who calls whom, by number: each is called by some before it; one pair calls back."""
    chance = random.Random(7)
    for callee in range(1, count):
        callers = 1 if callee < 4 else chance.randint(1, 3)
        yield from ((chance.randrange(max(0, callee // 3 - 2), callee), callee) for _ in range(callers))
    if count > 3:
        yield count - 1, 2


def calls(count: int) -> Iterator[Call]:
    """The last minute's, as both proxies tell them."""
    known, chance = services(count), random.Random(8)
    for caller, callee in sorted(set(ways(count))):
        failing = chance.random() < 0.1
        for turn in range(chance.choice((3, 12, 60))):
            code = 503 if failing and turn % 5 == 0 else 200
            for reporter in (SOURCE, DESTINATION):
                yield _call(known[caller], known[callee], reporter, code, 3 + 40 * chance.random() ** 3)
    yield _call(known[-1], ("", "api.payments.example.com"), SOURCE, 200, 80.0)


def _call(
    caller: tuple[str, str], callee: tuple[str, str], reporter: str, code: int, duration: float
) -> Call:
    return Call(
        at=NOW - 1,
        reporter=reporter,
        source_namespace=caller[0],
        source=caller[1],
        source_workload=f"{caller[1]}-v1",
        namespace=callee[0],
        service=callee[1],
        workload=f"{callee[1]}-v1",
        version="v1" if duration < 30 else "v2",
        protocol="http",
        method="GET",
        path=f"/{callee[1]}/7",
        authority=callee[1],
        code=code,
        flags="" if code == 200 else "UF",
        duration=duration,
        sent=100,
        received=900,
        encrypted=callee[1] != "mail",
        request_id="",
    )


def spans(count: int) -> Iterator[Span]:
    """One trace through the first services."""
    for depth, (namespace, name) in enumerate(services(min(count, 5))):
        start = int((NOW - 2) * 1e9) + depth * 3_000_000
        parent = f"{depth - 1:016x}" if depth else ""
        yield Span(
            "ab" * 16, f"{depth:016x}", parent, namespace, name, f"{name}:8080/*", "server", start,
            20.0 - 4 * depth, depth == 4, "{}",
        )  # fmt: skip


@asynccontextmanager
async def heard(folder: Path, calls: Iterable[Call], spans: Iterable[Span]) -> AsyncIterator[Desk]:
    """What a mixerd knows that was told these."""
    keep = Keep(folder / "mixerd.db", rows=100_000, seconds=600)
    metrics, log = CollectorRegistry(), Log("test")
    desk = Desk(keep, Counts(seconds=600), metrics, log, pending=10**6, now=lambda: NOW)
    desk.calls(calls)
    desk.spans(spans)
    await desk.flush()
    yield desk
    keep.close()


@asynccontextmanager
async def dashboard(folder: Path, count: int) -> AsyncIterator[str]:
    """Where the page of a mesh of `count` services is, with the headers that galleyd sends it with."""
    async with heard(folder, calls(count), spans(count)) as desk, _served(Pages(desk)) as url:
        yield url


@asynccontextmanager
async def _served(pages: Pages) -> AsyncIterator[str]:
    async def telemetry(request: web.Request) -> web.Response:
        status, body = await pages.answer(f"/{request.match_info['page']}?{request.query_string}")
        return web.Response(status=status, body=body, content_type="application/json")

    async def page(_: web.Request) -> web.Response:
        _, body = await pages.answer(DASHBOARD)
        headers = {"Content-Security-Policy": PAGE_POLICY}
        return web.Response(body=body, content_type="text/html", charset="utf-8", headers=headers)

    app = web.Application()
    app.router.add_get("/artemon/v1/dashboard", page)
    app.router.add_get("/artemon/v1/telemetry/{page}", telemetry)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/artemon/v1/dashboard"
    finally:
        await runner.cleanup()
