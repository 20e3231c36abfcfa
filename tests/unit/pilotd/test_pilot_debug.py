"""The debug pages, over HTTP on a Unix socket."""

from __future__ import annotations

import stat
from pathlib import Path

import aiohttp
from pilot_clients import mesh, node

from artemon.xds.types import CLUSTER
from pilotd.debug import serve_pages


async def test_pages_show_what_a_proxy_was_sent_to_the_owner_of_the_socket(tmp_path: Path) -> None:
    socket = tmp_path / "pilotd.sock"
    async with mesh() as running, serve_pages(str(socket), running.discovery.pages.page):
        assert stat.S_IMODE(socket.stat().st_mode) == 0o600
        client = running.connect(node())
        await client.until(CLUSTER, "inbound|9080||")
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as http:
            async with http.get(
                "http://pilotd/debug/config_dump", params={"proxyID": "reviews-1.books"}
            ) as answer:
                dump = await answer.json()
            async with http.get("http://pilotd/debug/syncz") as answer:
                [status] = await answer.json()
            async with http.get("http://pilotd/debug/config_dump?proxyID=nobody") as answer:
                assert answer.status == 404
    assert "inbound|9080||" in [cluster["name"] for cluster in dump["clusters"]]
    assert dump["listeners"] == [], "it did not ask for listeners"
    assert status["node"].endswith("~reviews-1.books~books.svc.cluster.local")
    assert not socket.exists()
