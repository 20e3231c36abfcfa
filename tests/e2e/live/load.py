"""Steady requests through a sidecar, without retries, half of them on new connections."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from live_mesh import Sidecar


@dataclass
class Load:
    """What came of it. failures: (seconds since the start, status or reason)."""

    started: float = field(default_factory=time.monotonic)
    answers: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[float, str]] = field(default_factory=list)

    @property
    def sent(self) -> int:
        return sum(self.answers.values()) + len(self.failures)

    def fail(self, reason: str) -> None:
        self.failures.append((round(time.monotonic() - self.started, 2), reason))


@contextmanager
def load(sidecars: list[Sidecar], url: str, *, rate: float = 50.0) -> Iterator[Load]:
    """`rate` requests a second through each sidecar while the block runs."""
    found, stop = Load(), threading.Event()
    threads = [threading.Thread(target=_ask, args=(one, url, rate, found, stop)) for one in sidecars]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _ask(sidecar: Sidecar, url: str, rate: float, found: Load, stop: threading.Event) -> None:
    connection: http.client.HTTPConnection | None = None
    count, due = 0, time.monotonic()
    while not stop.is_set():
        count, due = count + 1, max(due + 1 / rate, time.monotonic() - 1)
        if connection is None or count % 2:
            connection = http.client.HTTPConnection(sidecar.agent.ip, sidecar.proxy_port, timeout=10)
        try:
            connection.request("GET", url)
            answer = connection.getresponse()
            body = answer.read().decode()
            if answer.status == 200:
                found.answers[body] += 1
            else:
                found.fail(f"{sidecar.agent.settings['node']}: {answer.status} {body[:120]}")
        except (OSError, http.client.HTTPException) as error:
            found.fail(f"{sidecar.agent.settings['node']}: {error!r}")
            connection = None
        stop.wait(max(0.0, due - time.monotonic()))
