"""Which of several pilotds is reached, when some are dead or silent."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator

import grpc
import pytest

from artemon.backoff import Backoff
from pilotd.server import OPTIONS as SERVER_OPTIONS
from proxyd.reach import Lost, reach
from proxyd.upstream import FIRST_SECONDS, OPTIONS

LEAST_BETWEEN_PINGS_MS = 1000
"""gRPC's own limit for clients (src/core/ext/transport/chttp2/transport/ping_rate_policy.cc)."""


@pytest.fixture
async def alive() -> AsyncIterator[str]:
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


@pytest.fixture
def silent() -> Iterator[str]:
    """As a machine that froze: connections are taken by its kernel, and nobody says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def refusing() -> str:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return f"127.0.0.1:{closed.getsockname()[1]}"


class Connecting:
    """Channels, and which of them are open."""

    def __init__(self) -> None:
        self.made: dict[str, grpc.aio.Channel] = {}

    def __call__(self, address: str) -> grpc.aio.Channel:
        options = [("grpc.use_local_subchannel_pool", 1)]
        self.made[address] = grpc.aio.insecure_channel(address, options=options)
        return self.made[address]

    @property
    def open(self) -> list[str]:
        shutdown = grpc.ChannelConnectivity.SHUTDOWN
        return [address for address, one in self.made.items() if one.get_state() is not shutdown]


async def test_the_first_is_taken_and_the_others_are_left_alone(alive: str, refusing: str) -> None:
    connect = Connecting()
    address, channel = await reach(connect, [alive, refusing])
    assert (address, list(connect.made)) == (alive, [alive])
    await channel.close(None)


async def test_nobody_waits_for_one_that_refuses_or_says_nothing(
    alive: str, refusing: str, silent: str
) -> None:
    connect = Connecting()
    address, channel = await reach(connect, [refusing, silent, alive])
    assert (address, connect.open) == (alive, [alive])
    await channel.close(None)
    assert connect.open == []


def test_a_frozen_pilotd_is_left_in_time_for_another_one() -> None:
    """What is certain without a clock: when it is given up at the latest, and what is left of two seconds."""
    options = dict(OPTIONS)
    asked = max(options["grpc.keepalive_time_ms"], LEAST_BETWEEN_PINGS_MS)
    silent = max(options["grpc.keepalive_timeout_ms"], options["grpc.http2.ping_timeout_ms"])
    again = 1000 * Backoff(first=FIRST_SECONDS).next(0.999)
    assert asked + silent + again <= 1700
    assert silent >= 500, "a busy machine is not a dead one"
    assert dict(SERVER_OPTIONS)["grpc.http2.max_ping_strikes"] == 0, "pilotd takes so many questions"


async def test_when_all_refuse_that_is_said(refusing: str) -> None:
    connect = Connecting()
    with pytest.raises(Lost, match=f"{refusing}: the connection is refused"):
        await reach(connect, [refusing])
    assert connect.open == []
