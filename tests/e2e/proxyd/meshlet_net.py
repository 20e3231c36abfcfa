"""Asking and answering over HTTP, free addresses, waiting."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import random
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf import json_format


async def eventually(look: Any, what: str | Callable[[], str], *, seconds: float = 60.0) -> Any:
    """The first true answer of `look`. what: for the failure; a callable is asked then."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = look()
        if asyncio.iscoroutine(answer):
            answer = await answer
        if answer:
            return answer
        await asyncio.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")


def loopback() -> str:
    """An address that nobody uses yet."""
    while True:
        address = f"127.{random.randint(16, 250)}.{random.randint(1, 250)}.{random.randint(2, 250)}"
        with socket.socket() as probe:
            if probe.connect_ex((address, 15000)) != 0:
                return address


def get(url: str) -> tuple[int, str]:
    """Status and body; (0, reason) when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


async def fetch(url: str) -> tuple[int, str]:
    return await asyncio.to_thread(get, url)


def proto(kind: Any, **fields: Any) -> Any:
    return json_format.ParseDict(fields, kind())


@contextlib.contextmanager
def upstream_app(text: str, *, seconds: float = 0) -> Iterator[int]:
    """An HTTP server in a thread that answers `text` after `seconds`; yields its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            time.sleep(seconds)
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()
