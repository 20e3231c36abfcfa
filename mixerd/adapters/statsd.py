"""Metrics for statsd, by UDP (github.com/statsd/statsd, docs/metric_types.md)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from artemon.adapters import Adapter, Handler, Params, Place, Row, Shape
from artemon.daemon.address import split_address
from artemon.errors import ArtemonError, Problem
from artemon.expr.values import ValueType
from mixerd.adapters.plain import address_problems, number, short, text

_FORBIDDEN = re.compile(r"[:|@\s]")
_MILLISECOND = 1e6
_NUMBERS = frozenset({ValueType.INT64, ValueType.DOUBLE, ValueType.DURATION})


class Metric(Params):
    """How an instance is called. nameTemplate: `{{.dimension}}` stands for a dimension's value; by default
    the instance's name."""

    required: ClassVar[tuple[str, ...]] = ("type",)

    type: Literal["COUNTER", "GAUGE", "DISTRIBUTION"] = "COUNTER"
    name_template: str = ""


class StatsdParams(Params):
    """address: `host:port`. flushBytes: most of one datagram. metrics: by instance."""

    required: ClassVar[tuple[str, ...]] = ("address", "metrics")

    address: str = ""
    prefix: str = ""
    flush_bytes: Annotated[int, Field(ge=64, le=65_000)] = 1432
    metrics: dict[str, Metric] = Field(default_factory=dict)


_LETTERS: dict[str, str] = {"COUNTER": "c", "GAUGE": "g", "DISTRIBUTION": "ms"}
_PART = re.compile(r"\{\{\s*\.(\w+)\s*\}\}")


def _problems(params: StatsdParams, shapes: Sequence[Shape]) -> Iterator[Problem]:
    yield from address_problems(params.address)
    for shape in shapes:
        metric = params.metrics.get(short(shape.name))
        if metric is None:
            yield Problem("spec.params.metrics", f"has no {short(shape.name)}, which a rule sends")
            continue
        path = f"spec.params.metrics.{short(shape.name)}"
        if shape.types.get("value") not in _NUMBERS:
            yield Problem(path, f"the value of {shape.name} is no number")
        for part in _PART.findall(metric.name_template):
            if part not in shape.types.get("dimensions", {}):
                yield Problem(f"{path}.nameTemplate", f"{shape.name} has no dimension {part}")


class Statsd(Handler):
    """Sends lines, several in a datagram. What UDP loses, nobody learns."""

    def __init__(self, params: StatsdParams, place: Place) -> None:
        self._params = params
        self._transport: asyncio.DatagramTransport | None = None
        self._failed: Exception | None = None

    async def report(self, rows: Sequence[Row]) -> None:
        if self._failed:
            await self._give_up()
        if self._transport is None:
            self._transport = await self._connected()
        packet = b""
        for row in rows:
            line = self._line(row)
            if packet and len(packet) + 1 + len(line) > self._params.flush_bytes:
                self._transport.sendto(packet)
                packet = b""
            packet = b"\n".join((packet, line)) if packet else line
        if packet:
            self._transport.sendto(packet)

    async def _connected(self) -> asyncio.DatagramTransport:
        host, port = split_address(self._params.address)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: _Errors(self), remote_addr=(host, port))
        return transport

    async def _give_up(self) -> None:
        failed, self._failed = self._failed, None
        await self.close()
        raise ArtemonError(f"{self._params.address}: {failed}")

    def failed(self, error: Exception) -> None:
        """The network said that nobody is there: the next rows wait."""
        self._failed = error

    def _line(self, row: Row) -> bytes:
        metric = self._params.metrics[short(row.instance)]
        dimensions = row.values.get("dimensions", {})
        name = _PART.sub(lambda part: text(dimensions.get(part[1], "")), metric.name_template)
        full = self._params.prefix + (name or short(row.instance))
        value = number(row.values["value"], unit=_MILLISECOND)
        return f"{_FORBIDDEN.sub('_', full)}:{value:.15g}|{_LETTERS[metric.type]}".encode()

    async def close(self) -> None:
        transport, self._transport = self._transport, None
        if transport:
            transport.close()


class _Errors(asyncio.DatagramProtocol):
    def __init__(self, owner: Statsd) -> None:
        self._owner = owner

    def error_received(self, exc: Exception) -> None:
        self._owner.failed(exc)


plugin = Adapter(StatsdParams, frozenset({"metric"}), Statsd, _problems)
