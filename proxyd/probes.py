"""Readiness probes of a WorkloadGroup: HTTP, TCP, gRPC, a command."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import grpc
from grpc_health.v1 import health_pb2

from artemon.daemon.address import address_text
from artemon.model.workload_group import ReadinessProbe
from proxyd.wellbeing import PROBE, Streak, Wellbeing

HERE = "127.0.0.1"
PERIOD_SECONDS, TIMEOUT_SECONDS = 10, 1
SUCCESSES, FAILURES = 1, 3
"""Istio's defaults (WorkloadGroup, ReadinessProbe)."""
GRPC_METHOD = "/grpc.health.v1.Health/Check"
Check = Callable[[ReadinessProbe, aiohttp.ClientSession], Awaitable[str]]
"""Asks once; why the application is not ready, or nothing."""


class Probes:
    """Asks again and again, and tells when the answer has changed."""

    def __init__(self, probe: ReadinessProbe, wellbeing: Wellbeing, http: aiohttp.ClientSession) -> None:
        self._probe = probe
        self._wellbeing = wellbeing
        self._http = http
        self._streak = Streak(probe.success_threshold or SUCCESSES, probe.failure_threshold or FAILURES)

    async def follow(self) -> None:
        """Until cancelled."""
        await asyncio.sleep(self._probe.initial_delay_seconds)
        while True:
            reason = await ask(self._probe, self._http)
            if self._streak.saw(not reason):
                self._wellbeing.said(PROBE, not reason, reason or "the probe succeeds")
            await asyncio.sleep(self._probe.period_seconds or PERIOD_SECONDS)


async def ask(probe: ReadinessProbe, http: aiohttp.ClientSession) -> str:
    """Why the application is not ready; empty when it is."""
    seconds = probe.timeout_seconds or TIMEOUT_SECONDS
    for member, check in _CHECKS.items():
        if getattr(probe, member) is not None:
            try:
                return await asyncio.wait_for(check(probe, http), seconds)
            except TimeoutError:
                return f"no answer within {seconds} s"
            except (OSError, aiohttp.ClientError, grpc.aio.AioRpcError) as error:
                return str(error) or type(error).__name__
    return ""


async def _http(probe: ReadinessProbe, http: aiohttp.ClientSession) -> str:
    told = probe.http_get
    assert told is not None
    address = address_text(told.host or HERE, told.port)
    url = f"{(told.scheme or 'HTTP').lower()}://{address}/{told.path.removeprefix('/')}"
    headers = {header.name: header.value for header in told.http_headers}
    async with http.get(url, headers=headers, ssl=False, allow_redirects=False) as answer:
        return "" if 200 <= answer.status < 400 else f"HTTP {answer.status}"


async def _tcp(probe: ReadinessProbe, _: aiohttp.ClientSession) -> str:
    told = probe.tcp_socket
    assert told is not None
    _reader, writer = await asyncio.open_connection(told.host or HERE, told.port)
    writer.close()
    return ""


async def _grpc(probe: ReadinessProbe, _: aiohttp.ClientSession) -> str:
    told = probe.grpc
    assert told is not None
    async with grpc.aio.insecure_channel(f"{HERE}:{told.port}") as channel:
        call: Any = channel.unary_unary(
            GRPC_METHOD,
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        answer = await call(health_pb2.HealthCheckRequest(service=told.service))
    status = health_pb2.HealthCheckResponse.ServingStatus
    return "" if answer.status == status.SERVING else str(status.Name(answer.status))


async def _exec(probe: ReadinessProbe, _: aiohttp.ClientSession) -> str:
    """With our rights and none of our environment; all that the command started ends with it."""
    told = probe.exec_
    assert told is not None
    nowhere = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *told.command,
        stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True, env={"PATH": os.defpath},
    )  # fmt: skip
    try:
        status = await process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return f"exit status {status}" if status else ""


_CHECKS: dict[str, Check] = {"http_get": _http, "tcp_socket": _tcp, "grpc": _grpc, "exec_": _exec}
