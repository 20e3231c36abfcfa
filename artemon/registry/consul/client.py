"""Consul's HTTP API, as far as a registry needs it: reads that say how much they prove."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from artemon.errors import StoreError, Unavailable
from artemon.registry.consul.settings import PORT, ConsulSettings
from artemon.store.address import endpoints

RIGHTS = "service:read and node:read, for an export service:write and node:write"
FILTERED = "X-Consul-Results-Filtered-By-ACLs"


class Denied(StoreError):
    """The token is unknown, expired, or has too few rights."""


class Conflict(StoreError):
    """A transaction was not applied: what it checks is otherwise by now."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What Consul said. index: for the next blocking query; 0: none. proven: a leader stands behind it, which
    no answer of the streaming backend can say. filtered: the token may not see everything."""

    body: Any
    index: int
    proven: bool
    filtered: bool


class Client:
    """Asks one agent after the other, staying with the one that answers. Use within `async with`."""

    def __init__(self, url: str, settings: ConsulSettings) -> None:
        self._settings = settings
        secured = settings.ca is not None or settings.cert is not None
        where = endpoints(url, port=PORT, secured=secured, insecure=settings.insecure)
        self._bases = [f"{'https' if where.tls else 'http'}://{target}" for target in where.targets]
        self._tls = _context(settings) if where.tls else None
        self._session: aiohttp.ClientSession | None = None
        self._current = 0

    async def __aenter__(self) -> Client:
        connector = aiohttp.TCPConnector(limit=0, ssl=self._tls if self._tls is not None else True)
        self._session = aiohttp.ClientSession(connector=connector, trust_env=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(
        self, path: str, *, index: int = 0, wait: float = 0.0, consistent: bool = False, only: str = ""
    ) -> Answer:
        """Read `path`; with an index, return when there is something newer, or after `wait` seconds.
        only: an expression in Consul's filter language.

        Raises Denied, Unavailable.
        """
        query = {"filter": only} if only else {}
        seconds = self._settings.timeout
        if index:
            query |= {"index": str(index), "wait": f"{int(wait * 1000)}ms"}
            seconds += wait + wait / 16
        if consistent:
            query["consistent"] = ""
        if self._settings.datacenter:
            query["dc"] = self._settings.datacenter
        headers, body = await self._ask("GET", path, query, seconds)
        return Answer(
            body=_json(body),
            index=_index(headers.get("X-Consul-Index", "")),
            proven=headers.get("X-Consul-KnownLeader") == "true",
            filtered=headers.get(FILTERED) == "true",
        )

    async def txn(self, operations: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """All or none of `operations`; what is there after them. Raises Denied, Conflict, and Unavailable,
        when they may have been applied all the same."""
        query = {"dc": self._settings.datacenter} if self._settings.datacenter else {}
        body = json.dumps(operations).encode()
        _, content = await self._ask("PUT", "/v1/txn", query, self._settings.timeout, body)
        results: list[Mapping[str, Any]] = _json(content)["Results"] or []
        return results

    async def _ask(
        self, method: str, path: str, query: Mapping[str, str], seconds: float, body: bytes | None = None
    ) -> tuple[Mapping[str, str], bytes]:
        if self._session is None:
            raise Unavailable("the client of Consul is not open")
        number = self._current
        base = self._bases[number % len(self._bases)]
        headers = {"X-Consul-Token": token} if (token := _token(self._settings.token_file)) else {}
        try:
            # aiohttp's own `total` forgets a cancellation that comes in the moment in which it ends
            async with (
                asyncio.timeout(seconds),
                self._session.request(
                    method,
                    base + path,
                    params=query,
                    headers=headers,
                    data=body,
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._settings.timeout),
                ) as answer,
            ):
                content = await answer.read()
                if answer.status == 200:
                    return answer.headers, content
                raise _refusal(base, answer.status, content)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._elsewhere(number)
            raise Unavailable(f"{base} does not answer: {error or type(error).__name__}") from error
        except Unavailable:
            self._elsewhere(number)
            raise

    def _elsewhere(self, number: int) -> None:
        """The next agent, unless another call has moved on already."""
        if self._current == number:
            self._current += 1


def _refusal(base: str, status: int, content: bytes) -> StoreError:
    text = " ".join(content[:200].decode(errors="replace").split())
    if status in {401, 403}:
        return Denied(f"{base} refuses the token: {text}; it needs {RIGHTS}")
    if status == 409:
        return _rollback(base, text)
    return Unavailable(f"{base} answers {status}: {text}")


def _rollback(base: str, text: str) -> StoreError:
    """Why a transaction was not applied."""
    if "Permission denied" in text:
        return Denied(f"{base} refuses the token: {text}; it needs {RIGHTS}")
    return Conflict(f"{base}: {text}") if "index is stale" in text else StoreError(f"{base} refuses: {text}")


def _json(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError as error:
        raise Unavailable(f"the answer is not JSON: {error}") from error


def _index(text: str) -> int:
    """An index of 0 is 1 (Consul: "sanity check index is greater than zero")."""
    return max(1, int(text)) if text.isdigit() else 0


def _token(file: Path | None) -> str:
    """Read for every call, so that a new token counts at once: it is a small local file."""
    if file is None:
        return ""
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Denied(f"the token file {file} cannot be read: {error}") from error


def _context(settings: ConsulSettings) -> ssl.SSLContext:
    if (settings.cert is None) != (settings.key is None):
        raise StoreError("consul: cert and key must be given together")
    try:
        context = ssl.create_default_context(cafile=settings.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if settings.cert is not None:
            context.load_cert_chain(settings.cert, settings.key)
    except OSError as error:
        raise StoreError(f"consul: the certificates cannot be read: {error}") from error
    return context
