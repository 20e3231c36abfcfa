"""Deadlines that are set and cleared often, and the mailbox that has one."""

from __future__ import annotations

import asyncio

from pilotd.alarm import Alarm
from pilotd.mailbox import Mailbox


async def test_it_rings_once_when_the_time_last_set_has_come() -> None:
    loop, rung, since = asyncio.get_running_loop(), list[float](), asyncio.Event()

    def ring() -> None:
        rung.append(loop.time())
        since.set()

    alarm = Alarm(ring)
    alarm.set(0.01)
    alarm.set(0.05)
    last = loop.time() + 0.05
    async with asyncio.timeout(30):
        await since.wait()
    assert rung[0] >= last - 0.01
    await asyncio.sleep(0.1)
    assert len(rung) == 1


async def test_an_earlier_time_counts_too() -> None:
    since = asyncio.Event()
    alarm = Alarm(since.set)
    alarm.set(3600)
    alarm.set(0.01)
    async with asyncio.timeout(30):
        await since.wait()


async def test_what_is_cleared_or_closed_does_not_ring() -> None:
    rung: list[str] = []
    cleared, closed = Alarm(lambda: rung.append("cleared")), Alarm(lambda: rung.append("closed"))
    cleared.set(0.01)
    closed.set(0.01)
    cleared.clear()
    closed.close()
    await asyncio.sleep(0.05)
    assert not rung


async def test_a_reader_learns_of_news_and_of_their_absence() -> None:
    mailbox = Mailbox("")
    async with asyncio.timeout(30):
        assert await mailbox.wait(0.01) is False
        mailbox.put("a")
        mailbox.nudge()
        assert await mailbox.wait(0.01) is True
        assert await mailbox.wait(0.01) is False
        asyncio.get_running_loop().call_later(0.02, mailbox.put, "b")
        assert await mailbox.wait(30) is True
    assert mailbox.value == "b"
    mailbox.close()
