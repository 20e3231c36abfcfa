"""Reaching one of several pilotds, some of which may be dead."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import grpc

from artemon.errors import ArtemonError

CONNECT_SECONDS = 5.0
NEXT_SECONDS = 0.5
"""How long a pilotd may take to be reached until the next one is tried beside it."""

Connect = Callable[[str], grpc.aio.Channel]


class Lost(ArtemonError):
    """The stream to pilotd is over, or could not be opened; another is opened after a while."""


async def reach(connect: Connect, addresses: Sequence[str]) -> tuple[str, grpc.aio.Channel]:
    """A channel to the first that answers. Each is tried as soon as the one before has failed, or beside it
    when it is slow: the machine of one that is dead says nothing. Raises Lost when none can be reached."""
    channels: dict[asyncio.Task[None], tuple[str, grpc.aio.Channel]] = {}
    waiting: set[asyncio.Task[None]] = set()
    reached: asyncio.Task[None] | None = None
    left, problem = list(addresses), Lost("no address of a pilotd is known")
    try:
        while (left or waiting) and reached is None:
            if left:
                address = left.pop(0)
                channel = connect(address)
                task = asyncio.ensure_future(asyncio.wait_for(ready(channel), CONNECT_SECONDS))
                channels[task] = address, channel
                waiting.add(task)
            done, waiting = await asyncio.wait(
                waiting, timeout=NEXT_SECONDS if left else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                if (error := task.exception()) is None:
                    reached = reached or task
                else:
                    problem = Lost(f"{channels[task][0]}: {error or f'no answer in {CONNECT_SECONDS:g} s'}")
    finally:
        for task, (_, channel) in channels.items():
            if task is not reached:
                task.cancel()
                await channel.close(None)
    if reached is None:
        raise problem
    return channels[reached]


async def ready(channel: grpc.aio.Channel) -> None:
    """Return when the channel is connected; do not wait for gRPC to try again, we have other addresses."""
    state = channel.get_state(try_to_connect=True)
    while state is not grpc.ChannelConnectivity.READY:
        if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            raise Lost("the connection is refused, or the server is not pilotd")
        await channel.wait_for_state_change(state)
        state = channel.get_state()
