"""What proxies say of callers without mutual TLS is shown, with names for addresses."""

from __future__ import annotations

import json

from pilot_clients import Mesh, mesh, node, until

from artemon.model.plaintext import PlaintextReport, Seen
from artemon.xds.types import CALLERS, CLUSTER

REPORT = PlaintextReport(
    "2026-01-01T00:00:00+00:00",
    (
        Seen("127.0.1.2", 9080, "plaintext", 7, "2026-01-01T00:01:00+00:00"),
        Seen("192.0.2.1", 9080, "tls", 1, "2026-01-01T00:02:00+00:00"),
    ),
)


def page(running: Mesh) -> dict[str, dict]:
    status, body = running.discovery.pages.page("/debug/callers")
    assert status == 200
    return {one["node"]: one for one in json.loads(body)}


async def test_reports_are_shown_with_names() -> None:
    async with mesh() as running:
        client, other = running.connect(node()), running.connect(node("reviews-2", "127.0.1.2"))
        for one in (client, other):
            await one.until(CLUSTER, "inbound|9080||")
        assert page(running)["reviews-1"]["since"] == "", "it has not counted yet"
        client.ask(CALLERS, REPORT.encode())
        served = [{"port": 9080, "host": "reviews.books.svc.cluster.local"}]
        await until(lambda: page(running)["reviews-1"]["permissive"] == served)
        await until(lambda: bool(page(running)["reviews-1"]["seen"]))
        found = page(running)
        assert [(one["from"], one["name"], one["count"]) for one in found["reviews-1"]["seen"]] == [
            ("127.0.1.2", "books/reviews-2", 7),
            ("192.0.2.1", "", 1),
        ]
        assert found["reviews-2"]["seen"] == []


async def test_a_report_that_cannot_be_read_ends_the_stream() -> None:
    async with mesh() as running:
        client = running.connect(node())
        await client.until(CLUSTER, "inbound|9080||")
        client.ask(CALLERS, "{}")
        await until(lambda: bool(running.ended))
        assert running.ended[0].status == "INVALID_ARGUMENT"
