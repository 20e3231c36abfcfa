"""What an adapter is, and what it gets and gives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from artemon.adapters.templates import Shape
from artemon.errors import ArtemonError, Problem
from artemon.log import Log
from artemon.model.limit_terms import Terms
from artemon.model.message import Message

GROUP = "artemon.adapters"
"""The entry-point group."""


class Params(Message):
    """Base of an adapter's parameters: names as in Mixer's documentation (`label_names`) or in camel case."""


@dataclass(frozen=True, slots=True)
class Row:
    """One instance made from one report or request. instance: `<namespace>/<name>`. values: as the template's
    fields nest them: text, numbers, booleans, maps of text, `Timestamp`, `Address`, `Nanoseconds`. request:
    of checks and quotas, Envoy's question as it came (`envoy.service.auth.v3.CheckRequest`)."""

    instance: str
    template: str
    values: Mapping[str, Any]
    request: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a request may go on. code: of google.rpc.Code, 0 is OK. seconds, uses: how long, and how often,
    the same answer holds for requests whose instance is the same; 0: once. headers: for the server where the
    request goes on, for the client where it does not. status: of HTTP, where `code` does not tell it."""

    code: int = 0
    message: str = ""
    seconds: float = 0.0
    uses: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 0


@dataclass(frozen=True, slots=True)
class QuotaAnswer:
    """granted: how much of what was asked for may be used. seconds: until there may be more."""

    granted: int
    seconds: float = 0.0


class Unacceptable(ArtemonError):
    """A handler will never take these rows: they are dropped, and not tried again."""


class Handler:
    """An adapter at work. It has the methods of the templates that its adapter takes; raising ArtemonError
    or OSError means that it did not work this time: reports are tried again after a pause, checks fail open
    or closed as the rule says."""

    async def report(self, rows: Sequence[Row]) -> None:
        """Take rows, all or none. Raises Unacceptable for those that it will never take."""
        raise NotImplementedError

    async def check(self, row: Row) -> Answer:
        """Whether a request may go on."""
        raise NotImplementedError

    async def quota(self, row: Row, amount: int) -> QuotaAnswer:
        """Use up to `amount` of a quota: all of it or nothing."""
        raise NotImplementedError

    async def close(self) -> None:
        """Let go of everything."""


Count = Callable[[Terms, tuple[str, ...], int], Awaitable[tuple[bool, float]]]


async def _nobody(terms: Terms, values: tuple[str, ...], hits: int) -> tuple[bool, float]:
    raise ArtemonError("nobody counts here")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a handler lives. name: `<namespace>/<name>`. metrics: of the daemon. folder: where it may write
    files. now: seconds since 1970. count: counts requests with these values for all replicas of the daemon;
    whether they are within the terms, and seconds until the window ends; raises ArtemonError."""

    name: str
    log: Log
    metrics: CollectorRegistry
    folder: Path
    now: Callable[[], float]
    count: Count = _nobody


def _nothing(params: Any, shapes: Sequence[Shape]) -> Iterable[Problem]:
    return ()


@dataclass(frozen=True, slots=True)
class Adapter:
    """A plug-in. params: the class of its parameters. templates: whose instances it takes. open: a handler
    for parameters and a place; runs in the event loop and must not wait. problems: what is wrong with
    parameters, beyond their types, and with the instances that rules send; paths from `spec.params` on."""

    params: type[Params]
    templates: frozenset[str]
    open: Callable[[Any, Place], Handler]
    problems: Callable[[Any, Sequence[Shape]], Iterable[Problem]] = _nothing
