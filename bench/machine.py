"""What a machine pays for its proxyd: DNS answers over real sockets, and memory.

Processor time counts, not the clock's, so that figures hold on a busy machine too."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time

import dns.message
from prometheus_client import CollectorRegistry

import proxyd.app  # noqa: F401 - all of proxyd's code is in memory, as on a machine
from artemon.api.v1.nds_pb2 import NameTable
from artemon.log import Log
from bench.memory import resident
from bench.report import Figure
from proxyd.dns.server import DnsServer
from proxyd.dns.table import Table
from proxyd.metrics import Metrics

SERVICES = 1000
QUERIES = 51_200
AT_ONCE = 64
"""Queries under way at once: as many as the kernel's buffer of a socket takes without loss."""


def _table() -> Table:
    table = NameTable()
    for number in range(SERVICES):
        info = table.table[f"svc-{number}.shop.svc.cluster.local"]
        info.ips.extend([f"240.240.{number // 250}.{number % 250 + 1}"])
        info.namespace, info.shortname = "shop", f"svc-{number}"
    return Table([table], namespace="shop")


async def _serve() -> None:
    """A server in a process of its own, until its input ends; says its port, then its processor time (s) and
    memory (MB)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = DnsServer((), log=Log("bench"), metrics=Metrics(CollectorRegistry()))
    server.use(_table())
    async with server.serve(("127.0.0.1", port)):
        print(port, flush=True)
        before = time.process_time()
        await asyncio.to_thread(sys.stdin.read)
        print(json.dumps([time.process_time() - before, resident()]), flush=True)


def _ask(port: int) -> int:
    """Send the queries; how many were answered."""
    queries = [dns.message.make_query(f"svc-{n}.shop", "A").to_wire() for n in range(SERVICES)]
    answered = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port))
        client.settimeout(10)
        for start in range(0, QUERIES, AT_ONCE):
            for number in range(start, start + AT_ONCE):
                client.send(queries[number % SERVICES])
            for _ in range(AT_ONCE):
                try:
                    client.recv(2048)
                except TimeoutError:
                    break
                answered += 1
    return answered


def run() -> list[Figure]:
    """The figures."""
    command = [sys.executable, "-m", "bench.machine"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        port = int(server.stdout.readline())
        answered = _ask(port)
        server.stdin.close()
        seconds, memory = json.loads(server.stdout.readline())
    return [
        Figure("DNS: answers for names of the mesh (1,000 services, UDP), a core", answered / seconds, "1/s"),
        Figure("the same, answers of the queries", 100 * answered / QUERIES, "%"),
        Figure("proxyd's code, libraries and 1,000 names (RSS)", memory, "MB", goal=60),
    ]


if __name__ == "__main__":
    asyncio.run(_serve())
