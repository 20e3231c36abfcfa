"""Every request is counted once by each proxy and told to mixerd once: counts of all agree, to the last one.

ARTEMON_REQUESTS: how many (`make million`).
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
from task_page import NETWORK

REQUESTS = int(os.environ.get("ARTEMON_REQUESTS", "2000"))
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.timeout(300 + REQUESTS // 50),
    pytest.mark.skipif(not all(map(shutil.which, ("openssl", "curl"))), reason="needs openssl and curl"),
]
SOURCE, DESTINATION, MIXERD = (f"{NETWORK}{host}" for host in (11, 12, 1))
CONNECTIONS = 8
PATIENCE = 120.0
ASK = b"GET http://details:9080/details/1 HTTP/1.1\r\nHost: details:9080\r\nx-counted: 1\r\n\r\n"


def page(host: str, port: int, path: str) -> str:
    connection = http.client.HTTPConnection(host, port, timeout=30)
    connection.request("GET", path)
    return connection.getresponse().read().decode()


def counted(host: str, reporter: str) -> int:
    """Requests of productpage to details that came back with 200, as a proxy counts them."""
    wanted = (
        f'reporter="{reporter}"',
        'source_workload="productpage"',
        'destination_service_name="details"',
        'response_code="200"',
    )
    lines = page(host, 15020, "/stats/prometheus").splitlines()
    mine = [
        one
        for one in lines
        if one.startswith("istio_requests_total{") and all(label in one for label in wanted)
    ]
    return sum(int(float(one.rpartition(" ")[2])) for one in mine)


def logged(host: str) -> dict[str, int]:
    """Lines that an Envoy has sent to mixerd, and those that it had to drop."""
    text = page(host, 15000, "/stats?filter=grpc_access_log.logs_")
    return {name: int(value) for name, value in re.findall(r"logs_(written|dropped): (\d+)", text)}


def taken() -> dict[str, int]:
    """Lines that mixerd took, and those that were too many for it."""
    text = page(MIXERD, 15104, "/metrics")
    found = re.findall(r'^mixerd_(records|dropped)_total\{kind="log"\} (\S+)$', text, re.MULTILINE)
    return {name: int(float(value)) for name, value in found}


def load(number: int) -> int:
    """So many requests over one connection; those that were answered with 200."""
    good, data = 0, b""
    with socket.create_connection((SOURCE, 15002), timeout=60) as connection:
        for _ in range(number):
            connection.sendall(ASK)
            while (end := data.find(b"\r\n\r\n")) < 0:
                data += _some(connection)
            length = int(re.search(rb"(?i)content-length: (\d+)", data[:end])[1])  # type: ignore[index]
            while len(data) < end + 4 + length:
                data += _some(connection)
            good += data.startswith(b"HTTP/1.1 200 ")
            data = data[end + 4 + length :]
    return good


def _some(connection: socket.socket) -> bytes:
    found = connection.recv(65536)
    assert found, "the proxy closed the connection"
    return found


def all_counts() -> dict[str, int]:
    written = {host: logged(host) for host in (SOURCE, DESTINATION)}
    return {
        "source": counted(SOURCE, "source"),
        "destination": counted(DESTINATION, "destination"),
        "written": sum(one["written"] for one in written.values()),
        "lost by proxies": sum(one["dropped"] for one in written.values()),
        "taken": taken()["records"],
        "lost by mixerd": taken()["dropped"],
    }


def settled() -> dict[str, int]:
    """The counts once they stay the same."""
    before = all_counts()
    while True:
        time.sleep(3)
        now = all_counts()
        if now == before:
            return now
        before = now


def test_counts_of_client_proxies_and_mixerd_agree(environment: Mapping[str, str]) -> None:
    assert environment
    load(1)
    before = settled()
    begun = time.monotonic()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        share = [REQUESTS // CONNECTIONS + (one < REQUESTS % CONNECTIONS) for one in range(CONNECTIONS)]
        good = sum(pool.map(load, share))
    seconds = time.monotonic() - begun
    assert good == REQUESTS
    deadline, told = time.monotonic() + PATIENCE, threading.Event()
    while True:
        now = all_counts()
        found = {name: now[name] - before[name] for name in now}
        arrived = found["taken"] + found["lost by mixerd"]
        done = found["source"] == found["destination"] == REQUESTS
        if (
            done
            and found["written"] + found["lost by proxies"] == 2 * REQUESTS
            and arrived == found["written"]
        ):
            break
        assert time.monotonic() < deadline, found
        told.wait(1)
    print(f"{REQUESTS} requests, {REQUESTS / seconds:.0f}/s: {found}")  # noqa: T201
