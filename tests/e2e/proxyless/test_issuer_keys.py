"""Keys of a token issuer that change, and an issuer that is away, from pilotd's fetches to a real Envoy."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from plain_envoy import Page, PlainEnvoy
from policy_rig import ISSUER, Issuer
from proxyless_world import ADDRESS, PATIENCE, Pilot
from servers import free_ports

pytestmark = [pytest.mark.e2e, pytest.mark.envoy]


class KeyServer:
    """Answers with `keys`, or with 500 where there are none. asked: how often it was asked."""

    def __init__(self, keys: str) -> None:
        self.keys, self.asked = keys, 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                body = outer.keys.encode()
                self.send_response(200 if body else 500)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/keys"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def page() -> Iterator[Page]:
    one = Page("page")
    yield one
    one.stop()


async def until(wanted: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(4 * PATIENCE):
            while not await asyncio.to_thread(wanted):
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(what) from None


def status(port: int, token: str) -> int:
    """Of a request with a token; 0 where nobody answers."""
    connection = http.client.HTTPConnection(ADDRESS, port, timeout=5)
    try:
        connection.request("GET", "/", headers={"authorization": f"Bearer {token}"})
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


async def test_keys_change_and_the_issuer_goes_away(pilot: Pilot, page: Page, tmp_path: Path) -> None:
    first, second, stranger = Issuer("1"), Issuer("2"), Issuer("1")
    one, two, wrong = (each.token(sub="a", iss=ISSUER) for each in (first, second, stranger))
    keys, (port,) = KeyServer(first.jwks), free_ports(1)
    rule = {"jwtRules": [{"issuer": ISSUER, "jwksUri": keys.url}]}
    await pilot.apply("RequestAuthentication", "tokens", rule)
    await pilot.apply("PeerAuthentication", "plain", {"mtls": {"mode": "DISABLE"}})  # it has no certificate
    serves = [{"number": port, "name": "http", "protocol": "HTTP", "listenPort": port, "appPort": page.port}]
    envoy = PlainEnvoy(tmp_path, "tokens", pilot.plaintext, "DELTA_GRPC", None, serves)
    try:
        await until(lambda: status(port, one) == 200, "the first key is not known")
        assert (status(port, two), status(port, wrong)) == (401, 401)
        both = {"keys": [*json.loads(first.jwks)["keys"], *json.loads(second.jwks)["keys"]]}
        keys.keys = json.dumps(both)
        await until(lambda: status(port, two) == 200, "the second key is not known")
        assert (status(port, one), status(port, wrong)) == (200, 401)
        keys.keys = second.jwks
        await until(lambda: status(port, one) == 401, "the first key still counts")
        keys.keys, asked = "", keys.asked
        await until(lambda: keys.asked >= asked + 2, "nobody asks again")
        assert (status(port, two), status(port, one)) == (200, 401), "the last good keys count, no others"
    finally:
        envoy.stop()
        await pilot.apply("RequestAuthentication", "tokens", None)
        await pilot.apply("PeerAuthentication", "plain", None)
        keys.stop()
