"""Which of several pilotds is reached, when some are dead or silent."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator

import grpc
import pytest

from proxyd.reach import Lost, reach


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


async def test_when_all_refuse_that_is_said(refusing: str) -> None:
    connect = Connecting()
    with pytest.raises(Lost, match=f"{refusing}: the connection is refused"):
        await reach(connect, [refusing])
    assert connect.open == []
