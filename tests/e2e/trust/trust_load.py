"""Requests without retries, on new and on kept connections, counted."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter

from trust_mesh import PROXY, SERVE, SPACE, Mesh, Workload


class Load:
    """Asks a service through each client's proxy until it is stopped. failures: what went wrong, and when."""

    def __init__(self, mesh: Mesh, clients: list[Workload], service: str, *, pause: float = 0.02) -> None:
        self.host = f"{service}.{SPACE}.svc.cluster.local"
        self.answers: Counter[int] = Counter()
        self.failures: list[str] = []
        self._mesh, self._pause, self._stop = mesh, pause, threading.Event()
        kinds = ((client, kept) for client in clients for kept in (True, False))
        self._threads = [threading.Thread(target=self._run, args=kind, daemon=True) for kind in kinds]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _run(self, client: Workload, kept: bool) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self._stop.is_set():
            connection = connection or http.client.HTTPConnection(
                client.address, PROXY, timeout=30, source_address=(client.address, 0)
            )
            try:
                connection.request("GET", f"http://{self.host}:{SERVE}/", headers={"Host": self.host})
                answer = connection.getresponse()
                body = answer.read()
                self.answers[answer.status] += 1
                if answer.status != 200:
                    self._failed(client, f"{answer.status} {body[:200]!r}")
                closes = answer.will_close
            except (OSError, http.client.HTTPException) as error:
                self._failed(client, repr(error))
                closes = True
            if closes or not kept:
                connection.close()
                connection = None
            time.sleep(self._pause)

    def _failed(self, client: Workload, what: str) -> None:
        self.failures.append(f"{time.strftime('%H:%M:%S')} {client.name}: {what}")
