"""Log entries for fluentd and fluent-bit (Forward Protocol Specification v1, Forward Mode)."""

from __future__ import annotations

import asyncio
import base64
import itertools
import secrets
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import msgspec

from artemon.adapters import Adapter, Handler, Params, Place, Row, Shape
from artemon.daemon.address import split_address
from artemon.errors import ArtemonError, Problem
from artemon.expr.values import Timestamp
from artemon.model.duration import Nanoseconds
from mixerd.adapters.plain import address_problems, plain, short

_EVENT_TIME = 0
"""Extension type of a time with nanoseconds."""
ANSWER_SECONDS = 20.0


class FluentdParams(Params):
    """address: `host:port`. tagPrefix: before the instance's name, which is the tag. integerDuration:
    durations are whole milliseconds. requireAck: rows count as taken when the server says so."""

    required: ClassVar[tuple[str, ...]] = ("address",)

    address: str = ""
    tag_prefix: str = ""
    integer_duration: bool = False
    require_ack: bool = True


def _problems(params: FluentdParams, _: Sequence[Shape]) -> Iterator[Problem]:
    yield from address_problems(params.address)


class Fluentd(Handler):
    """One connection, kept."""

    def __init__(self, params: FluentdParams, place: Place) -> None:
        self._params, self._place = params, place
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def report(self, rows: Sequence[Row]) -> None:
        try:
            for instance, some in itertools.groupby(rows, key=lambda row: row.instance):
                await self._send(self._params.tag_prefix + short(instance), list(some))
        except BaseException:
            await self.close()  # whatever was half said is said anew
            raise

    async def _send(self, tag: str, rows: Sequence[Row]) -> None:
        reader, writer = await self._connected()
        events = [[self._time(row), self._record(row)] for row in rows]
        options: dict[str, Any] = {"size": len(events)}
        if self._params.require_ack:
            options["chunk"] = base64.b64encode(secrets.token_bytes(16)).decode()
        writer.write(msgspec.msgpack.encode([tag, events, options]))
        await writer.drain()
        if self._params.require_ack:
            await self._acknowledged(reader, options["chunk"])

    async def _acknowledged(self, reader: asyncio.StreamReader, chunk: str) -> None:
        said = b""
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                data = await reader.read(4096)
                if not data:
                    raise ArtemonError(f"{self._params.address}: fluentd ended the connection")
                said += data
                try:
                    answer = msgspec.msgpack.decode(said)
                except msgspec.DecodeError:
                    if len(said) > 4096:
                        raise ArtemonError(f"{self._params.address}: the answer is not fluentd's") from None
                    continue
                break
        if not isinstance(answer, dict) or answer.get("ack") != chunk:
            raise ArtemonError(f"{self._params.address}: fluentd acknowledged something else")

    def _time(self, row: Row) -> msgspec.msgpack.Ext:
        written = row.values.get("timestamp")
        nanoseconds = written.nanoseconds if isinstance(written, Timestamp) else int(self._place.now() * 1e9)
        seconds, rest = divmod(nanoseconds, 1_000_000_000)
        return msgspec.msgpack.Ext(_EVENT_TIME, seconds.to_bytes(4, "big") + rest.to_bytes(4, "big"))

    def _record(self, row: Row) -> dict[str, Any]:
        variables = row.values.get("variables", {})
        record = {name: self._shown(value) for name, value in variables.items()}
        return {"severity": row.values["severity"], **record} if "severity" in row.values else record

    def _shown(self, value: Any) -> Any:
        if self._params.integer_duration and isinstance(value, Nanoseconds):
            return int(value) // 1_000_000
        return plain(value)

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None or self._streams[0].at_eof():
            await self.close()
            async with asyncio.timeout(ANSWER_SECONDS):
                self._streams = await asyncio.open_connection(*split_address(self._params.address))
        return self._streams

    async def close(self) -> None:
        streams, self._streams = self._streams, None
        if streams:
            streams[1].close()


plugin = Adapter(FluentdParams, frozenset({"logentry"}), Fluentd, _problems)
