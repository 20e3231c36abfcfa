"""Lists of what is allowed, or refused: written in the handler, or read from a file or URL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

import aiohttp
import re2
from pydantic import Field

from artemon.adapters import Adapter, Answer, Handler, Params, Place, Row, Shape
from artemon.errors import ArtemonError, Problem
from artemon.model.duration import Duration, Nanoseconds
from artemon.model.message import Seq
from mixerd.adapters.plain import text

NOT_FOUND, DENIED, INVALID = 5, 7, 3
FETCH_SECONDS = 10.0
MOST_BYTES = 16 * 1024 * 1024
_MINUTE = Nanoseconds(60_000_000_000)
Contains = Callable[[str], bool]


class ListParams(Params):
    """providerUrl: file:///..., http:// or https://, a line each entry, `#` begins a comment; read again
    after refreshInterval; what was read last counts for ttl when it cannot be read. blacklist: what is in
    the list is refused. cachingInterval, cachingUseCount: of answers."""

    provider_url: str = ""
    refresh_interval: Duration = _MINUTE
    ttl: Duration = Nanoseconds(5 * int(_MINUTE))
    caching_interval: Duration | None = None
    caching_use_count: Annotated[int, Field(ge=0)] = 0
    overrides: Seq[str] = ()
    entry_type: Literal["STRINGS", "CASE_INSENSITIVE_STRINGS", "IP_ADDRESSES", "REGEX"] = "STRINGS"
    blacklist: bool = False


def _problems(params: ListParams, _: Sequence[Shape]) -> Iterator[Problem]:
    parts = urlsplit(params.provider_url)
    if params.provider_url and parts.scheme not in ("file", "http", "https"):
        yield Problem("spec.params.provider_url", "must begin with file://, http:// or https://")
    elif params.provider_url and not (parts.netloc or (parts.scheme == "file" and parts.path)):
        yield Problem("spec.params.provider_url", "names no host or file")
    elif not params.provider_url and not params.overrides:
        yield Problem("spec.params", "has no list: write provider_url or overrides")
    for index, entry in enumerate(params.overrides):
        try:
            _READERS[params.entry_type]([entry])
        except ValueError as error:
            yield Problem(f"spec.params.overrides[{index}]", str(error))
    if params.ttl < params.refresh_interval:
        yield Problem("spec.params.ttl", "must be at least refresh_interval")


def _exact(entries: Sequence[str]) -> Contains:
    return frozenset(entries).__contains__


def _folded(entries: Sequence[str]) -> Contains:
    known = frozenset(one.casefold() for one in entries)
    return lambda value: value.casefold() in known


def _networks(entries: Sequence[str]) -> Contains:
    """Raises ValueError that names what is no network."""
    by_length: dict[tuple[int, int], set[int]] = {}
    for entry in entries:
        try:
            network = ip_network(entry, strict=False)
        except ValueError:
            raise ValueError(f'"{entry}" is no IP address or range such as 10.0.0.0/8') from None
        shift = network.max_prefixlen - network.prefixlen
        by_length.setdefault((network.version, shift), set()).add(int(network.network_address) >> shift)

    def contains(value: str) -> bool:
        address = ip_address(value)
        mapped = getattr(address, "ipv4_mapped", None) or address
        return any(
            version == mapped.version and int(mapped) >> shift in found
            for (version, shift), found in by_length.items()
        )

    return contains


def _patterns(entries: Sequence[str]) -> Contains:
    """Raises ValueError that names what is no regular expression."""
    compiled = []
    for entry in entries:
        try:
            compiled.append(re2.compile(entry))
        except re2.error:
            raise ValueError(f'"{entry}" is no regular expression (RE2)') from None
    return lambda value: any(one.search(value) for one in compiled)


_READERS: Mapping[str, Callable[[Sequence[str]], Contains]] = {
    "STRINGS": _exact,
    "CASE_INSENSITIVE_STRINGS": _folded,
    "IP_ADDRESSES": _networks,
    "REGEX": _patterns,
}


class ListChecker(Handler):
    """Looks values up."""

    def __init__(self, params: ListParams, place: Place) -> None:
        self._params, self._place = params, place
        self._turn = asyncio.Lock()
        self._tried = self._read = float("-inf")
        self._contains: Contains | None = None
        if not params.provider_url:
            self._contains = _READERS[params.entry_type](params.overrides)

    async def check(self, row: Row) -> Answer:
        contains = self._contains if not self._params.provider_url else await self._fresh()
        assert contains is not None
        value = text(row.values["value"])
        try:
            found = contains(value)
        except ValueError:
            return self._answer(INVALID, f"{value} is no IP address")
        if found and self._params.blacklist:
            return self._answer(DENIED, f"{value} is blacklisted")
        if not found and not self._params.blacklist:
            return self._answer(NOT_FOUND, f"{value} is not whitelisted")
        return self._answer(0, "")

    def _answer(self, code: int, message: str) -> Answer:
        interval = self._params.caching_interval
        seconds = interval.seconds if interval else 0.0
        return Answer(code, message, seconds, self._params.caching_use_count)

    async def _fresh(self) -> Contains:
        """The list, read again where it is time. Raises ArtemonError when what there is is too old."""
        due = self._place.now() - self._tried >= self._params.refresh_interval.seconds
        if (due and not self._turn.locked()) or self._contains is None:
            async with self._turn:
                await self._refresh()
        if self._contains is None or self._place.now() - self._read > self._params.ttl.seconds:
            raise ArtemonError(f"{self._params.provider_url} could not be read")
        return self._contains

    async def _refresh(self) -> None:
        if self._place.now() - self._tried < self._params.refresh_interval.seconds:
            return
        self._tried = self._place.now()
        try:
            content = await self._fetched()
            lines = (line.partition("#")[0].strip() for line in content.splitlines())
            entries = [*self._params.overrides, *filter(None, lines)]
            self._contains = await asyncio.to_thread(_READERS[self._params.entry_type], entries)
            self._read = self._tried
        except (OSError, ValueError, aiohttp.ClientError, ArtemonError) as error:
            self._place.log.error("list_not_read", url=self._params.provider_url, reason=error)

    async def _fetched(self) -> str:
        url = self._params.provider_url
        parts = urlsplit(url)
        if parts.scheme == "file":
            return await asyncio.to_thread(Path(unquote(parts.path)).read_text, "utf-8")
        timeout = aiohttp.ClientTimeout(total=FETCH_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
            response.raise_for_status()
            content: Any = await response.content.read(MOST_BYTES + 1)
            while len(content) <= MOST_BYTES and (more := await response.content.read(MOST_BYTES)):
                content += more
        if len(content) > MOST_BYTES:
            raise ArtemonError("the list is larger than 16 MB")
        return bytes(content).decode()


plugin = Adapter(ListParams, frozenset({"listentry"}), ListChecker, _problems)
