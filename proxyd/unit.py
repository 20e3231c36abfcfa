"""The state of the application's unit, as systemd tells of it on D-Bus (org.freedesktop.systemd1(5))."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

from dbus_fast import BusType, Message, MessageType
from dbus_fast.aio import MessageBus
from dbus_fast.errors import DBusError

from artemon.backoff import Backoff
from artemon.errors import ArtemonError
from artemon.log import Log
from proxyd.wellbeing import UNIT, Wellbeing

SYSTEMD, ROOT = "org.freedesktop.systemd1", "/org/freedesktop/systemd1"
MANAGER, PROPERTIES = f"{SYSTEMD}.Manager", "org.freedesktop.DBus.Properties"
READY = frozenset({"active", "reloading", "refreshing"})
"""States of a unit (`ActiveState`) in which it does its work."""


class UnitState:
    """Follows the state of one unit. unit: its name, such as web.service."""

    def __init__(self, unit: str, wellbeing: Wellbeing, log: Log) -> None:
        self._unit = unit
        self._wellbeing = wellbeing
        self._log = log

    async def follow(self) -> None:
        """Until cancelled. While systemd does not answer, what it said last counts."""
        backoff = Backoff(first=0.2, most=10.0)
        while True:
            try:
                await self._listen(backoff.reset)
                reason: object = "the connection ended"
            except (OSError, EOFError, DBusError, ArtemonError) as error:
                reason = error
            self._log.warning("systemd is not heard", unit=self._unit, reason=reason)
            await asyncio.sleep(backoff.next(random.random()))  # noqa: S311 - jitter

    async def _listen(self, connected: Callable[[], None]) -> None:
        bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
        try:
            (path,) = await _call(bus, ROOT, MANAGER, "LoadUnit", self._unit)
            await _call(bus, ROOT, MANAGER, "Subscribe")
            rule = f"type='signal',interface='{PROPERTIES}',member='PropertiesChanged',path='{path}'"
            await _call(bus, "/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch", rule)
            bus.add_message_handler(lambda message: self._heard(message, path))
            (state,) = await _call(bus, path, PROPERTIES, "Get", f"{SYSTEMD}.Unit", "ActiveState")
            self._take(state.value)
            connected()
            await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
        finally:
            bus.disconnect()

    def _heard(self, message: Message, path: str) -> None:
        if message.path == path and message.member == "PropertiesChanged":
            changed: dict[str, Any] = message.body[1]
            if "ActiveState" in changed:
                self._take(changed["ActiveState"].value)

    def _take(self, state: str) -> None:
        self._wellbeing.said(UNIT, state in READY, f"{self._unit} is {state}")


async def _call(bus: MessageBus, path: str, interface: str, member: str, *body: str) -> list[Any]:
    """What a method answers. Raises ArtemonError with what systemd says."""
    service = "org.freedesktop.DBus" if interface == "org.freedesktop.DBus" else SYSTEMD
    call = Message(service, path, interface, member, signature="s" * len(body), body=list(body))
    answer = await asyncio.wait_for(bus.call(call), 10)
    if answer is None or answer.message_type is MessageType.ERROR:
        raise ArtemonError(f"{member}: {answer.body[0] if answer and answer.body else 'no answer'}")
    return list(answer.body)
