"""`python -m bench.csr`: certificates a second, and how long renewals take while strangers flood citadeld.

Server, renewing clients and strangers are processes of their own; all share the machine's cores. The limits
by address and identity are off, since here everybody has one address: what is measured is what lies behind.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
from prometheus_client import CollectorRegistry

from artemon.api.v1 import ca_pb2, join_tokens_pb2
from artemon.daemon.health import Health
from artemon.daemon.identity_tls import channel_options
from artemon.daemon.run import Context
from artemon.log import Log
from artemon.pki.csr import make_csr
from artemon.pki.keys import PrivateKey, generate_key, private_pem
from artemon.pki.spiffe import SpiffeId
from artemon.store.open import open_store
from bench.report import Figure, show
from citadeld.app import Citadel
from citadeld.decision import Caller
from citadeld.limits import Rate
from citadeld.settings import CitadelSettings

IDENTITY = SpiffeId("cluster.local", "shop", "cart")
CREATE = "/istio.v1.auth.IstioCertificateService/CreateCertificate"
NEW_TOKEN = "/artemon.v1.JoinTokens/Create"
COUNT, AT_ONCE, STRANGERS = 2000, 32, 200
SECONDS = 15.0
TRIES = 5
PER_SECOND = 40
"""Renewals a second while strangers flood: 80,000 workloads at half of a lifetime of an hour."""


class Open(Citadel):
    """A citadeld that limits nobody by address or identity."""

    per_address = per_identity = Rate(1e9, 1e9)


def settings_in(folder: Path) -> CitadelSettings:
    """Addresses follow from the folder's own file, so that every process knows them."""
    file = folder / "ports"
    if not file.exists():
        with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
            file.write_text(f"{one.getsockname()[1]} {other.getsockname()[1]}")
    renew, join = file.read_text().split()
    return CitadelSettings.model_validate(
        {
            "data_dir": folder / "ca",
            "registry": "memory://",
            "listen": f"127.0.0.1:{renew}",
            "join_listen": f"127.0.0.1:{join}",
            "socket": folder / "run" / "c.sock",
        }
    )


async def opened(folder: Path) -> tuple[Open, Context]:
    """A citadeld with a root, which does not run yet."""
    settings = settings_in(folder)
    context = Context("citadeld", "bench", Log("citadeld"), Health(), CollectorRegistry())
    citadel = await Open.over(await open_store(settings.registry), settings, context)
    return citadel, context


async def serve(folder: Path) -> None:
    """Serve until killed."""
    citadel, _ = await opened(folder)
    await citadel.run()


async def alone(folder: Path) -> list[Figure]:
    """What one certificate costs without a network: checks, serial, signature, audit."""
    citadel, _ = await opened(folder)
    beside = [asyncio.ensure_future(one.run()) for one in (citadel._audit, citadel._records)]
    csrs = [[make_csr(generate_key(), IDENTITY) for _ in range(COUNT // AT_ONCE)] for _ in range(AT_ONCE)]
    caller = Caller("certificate", "", IDENTITY)
    took: list[float] = []

    async def issue(many: list[bytes]) -> None:
        for csr in many:
            begun = time.perf_counter()
            await citadel._issuer.issue(caller, csr, lifetime=timedelta(hours=1))
            took.append(time.perf_counter() - begun)

    begun, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*map(issue, csrs))
    wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
    for task in beside:
        task.cancel()
    done = len(took)
    return [
        Figure("certificates a second of one core's time, audit included", done / cpu, "/s"),
        Figure("certificates a second, 32 at once", done / wall, "/s"),
        Figure("p99", percentile(took, 0.99) * 1e3, "ms"),
    ]


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of all lie."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


class Workload:
    """One identity that renews: a channel with its certificate, and a request of each of many keys."""

    def __init__(self, folder: Path, chain: list[str], key: PrivateKey) -> None:
        roots = (folder / "ca" / "root-cert.pem").read_bytes()
        pair = private_pem(key), "".join(chain).encode()
        credentials = grpc.ssl_channel_credentials(roots, *pair)
        address = settings_in(folder).listen
        self.channel = grpc.aio.secure_channel(address, credentials, options=channel_options("citadeld"))
        self.call: Callable[..., Any] = unary(self.channel, CREATE, ca_pb2.IstioCertificateResponse)
        self.csrs = [make_csr(generate_key(), IDENTITY).decode() for _ in range(AT_ONCE)]

    async def renew(self, number: int) -> float:
        """Seconds that one renewal took; a refused stream is tried again, as agents do."""
        begun = time.perf_counter()
        for attempt in range(TRIES):
            try:
                await self.call(ca_pb2.IstioCertificateRequest(csr=self.csrs[number % AT_ONCE]), timeout=60)
                break
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE or attempt == TRIES - 1:
                    raise
        return time.perf_counter() - begun


def unary(channel: grpc.aio.Channel, path: str, answer: Any) -> Callable[..., Any]:
    """A call by its path."""
    call: Any = channel.unary_unary(
        path, request_serializer=lambda one: one.SerializeToString(), response_deserializer=answer.FromString
    )
    return call  # type: ignore[no-any-return]


async def joined(folder: Path) -> Workload:
    """A workload that has joined with a token."""
    settings = settings_in(folder)
    async with grpc.aio.insecure_channel(f"unix:{settings.socket}") as channel:
        wanted = join_tokens_pb2.CreateJoinTokenRequest(namespace="shop", service_account="cart")
        made = await unary(channel, NEW_TOKEN, join_tokens_pb2.CreateJoinTokenResponse)(wanted)
    key = generate_key()
    credentials = grpc.ssl_channel_credentials((folder / "ca" / "root-cert.pem").read_bytes())
    options = channel_options("citadeld")
    async with grpc.aio.secure_channel(settings.join_address, credentials, options=options) as channel:
        request = ca_pb2.IstioCertificateRequest(csr=make_csr(key, IDENTITY).decode())
        headers = [("authorization", f"Bearer {made.token}")]
        answer = await unary(channel, CREATE, ca_pb2.IstioCertificateResponse)(request, metadata=headers)
    return Workload(folder, list(answer.cert_chain), key)


async def renewals(folder: Path) -> list[Figure]:
    """As fast as they come, then at a steady rate while strangers flood the other port."""
    workload = await joined(folder)
    took: list[float] = []

    async def endless(number: int, until: float) -> None:
        while time.perf_counter() < until:
            took.append(await workload.renew(number))

    end = time.perf_counter() + SECONDS
    await asyncio.gather(*(endless(number, end) for number in range(AT_ONCE)))
    figures = [
        Figure("renewals a second over mutual TLS, client on the same cores", len(took) / SECONDS, "/s"),
        Figure("p99, 32 at once", percentile(took, 0.99) * 1e3, "ms"),
    ]
    quiet = await steady(workload)
    flood = subprocess.Popen(
        [sys.executable, "-m", "bench.csr", "flood", str(folder)], stdout=subprocess.PIPE
    )
    await asyncio.sleep(3)
    loud = await steady(workload)
    flood.terminate()
    told = (await asyncio.to_thread(flood.communicate))[0].split()
    return [
        *figures,
        Figure(f"p99 of {PER_SECOND} renewals a second, nobody else", percentile(quiet, 0.99) * 1e3, "ms"),
        Figure("the same, while strangers flood", percentile(loud, 0.99) * 1e3, "ms", 1000),
        Figure("calls of strangers a second that were answered", float(told[-1]) if told else 0.0, "/s"),
    ]


async def steady(workload: Workload) -> list[float]:
    """Renewals at a rate, whether the last ones are answered or not: how long each took."""
    tasks = []
    for number in range(int(SECONDS * PER_SECOND)):
        tasks.append(asyncio.ensure_future(workload.renew(number)))
        await asyncio.sleep(1 / PER_SECOND)
    return list(await asyncio.gather(*tasks))


async def flood(folder: Path) -> None:
    """Strangers with tokens that nobody made, as fast as they are refused; prints how many a second."""
    credentials = grpc.ssl_channel_credentials((folder / "ca" / "root-cert.pem").read_bytes())
    csr, count, begun = make_csr(generate_key(), IDENTITY).decode(), 0, time.perf_counter()

    async def stranger(number: int) -> None:
        nonlocal count
        options = [*channel_options("citadeld"), ("grpc.use_local_subchannel_pool", 1)]
        address = settings_in(folder).join_address
        async with grpc.aio.secure_channel(address, credentials, options=options) as channel:
            call = unary(channel, CREATE, ca_pb2.IstioCertificateResponse)
            while True:
                headers = [("authorization", f"Bearer {number:032d}{count:032d}")]
                try:
                    await call(ca_pb2.IstioCertificateRequest(csr=csr), metadata=headers, timeout=10)
                except grpc.aio.AioRpcError:
                    count += 1
                    if count % 100 == 0:
                        print(round(count / (time.perf_counter() - begun)), flush=True)

    await asyncio.gather(*(stranger(number) for number in range(STRANGERS)))


async def measured(folder: Path) -> None:
    """All figures."""
    show("citadeld, without a network (registry in memory, audit log on disk)", await alone(folder / "alone"))
    served = folder / "served"
    served.mkdir()
    settings = settings_in(served)
    server = subprocess.Popen(
        [sys.executable, "-m", "bench.csr", "serve", str(served)], stderr=subprocess.DEVNULL
    )
    try:
        while not (settings.socket.exists() and (served / "ca" / "root-cert.pem").exists()):
            await asyncio.sleep(0.1)
        await asyncio.sleep(1)
        show(f"citadeld over gRPC ({os.cpu_count()} cores for server and clients)", await renewals(served))
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    """Measure; `serve` and `flood` are the other processes."""
    if len(sys.argv) == 3:
        asyncio.run({"serve": serve, "flood": flood}[sys.argv[1]](Path(sys.argv[2])))
        return
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "alone").mkdir()
        asyncio.run(measured(Path(folder)))


if __name__ == "__main__":
    main()
