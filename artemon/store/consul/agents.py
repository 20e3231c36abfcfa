"""HTTP to Consul's agents: failover, deadlines, and two pools, so that waiting queries starve no renewal."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import aiohttp
from yarl import URL

from artemon.backoff import Backoff
from artemon.errors import StoreError, Unavailable, Unknown
from artemon.log import Log
from artemon.store import clock
from artemon.store.consul.errors import Denied, failure
from artemon.store.consul.settings import Access
from artemon.store.consul.token import Token

log = Log("artemon.store.consul")


@dataclass(frozen=True, slots=True)
class Request:
    """One request. uri: path and query, encoded. safe: may be sent again when nobody knows whether it was
    applied. waits: it is a query that waits for a change, for so many seconds."""

    method: str
    uri: str
    data: bytes = b""
    safe: bool = True
    waits: float = 0.0


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that is no failure: status 200 or 404."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def body(self) -> str:
        """As text."""
        return self.content.decode("utf-8", "replace")


class Agents:
    """The agents (or servers) at `targets`. One is in use; a failure moves on to the next."""

    def __init__(self, targets: Sequence[str], access: Access, *, timeout: float) -> None:
        scheme = "http" if access.context is None else "https"
        self._bases, self._current = [f"{scheme}://{target}" for target in targets], 0
        self._access, self._token, self.timeout = access, Token(access.token_file), timeout
        self._sessions = (_session(32), _session(0))

    async def call(self, request: Request) -> Reply:
        """The answer. Raises StoreError: Unavailable, where it was surely not applied, Unknown where it may
        have been, Denied, Conflict, LeaseGone, TooLarge."""
        deadline = clock.now() + self.timeout + request.waits * 17 / 16
        backoff, renewed = Backoff(0.05, 0.5), False
        while True:
            base = self._bases[self._current]
            token = await self._token.read()
            try:
                return await self._once(base, request, token, deadline)
            except Denied:
                if renewed or await self._token.read(now=True) == token:
                    raise
                renewed = True
                continue
            except (Unavailable, Unknown) as error:
                self.leave(base)
                problem = error
            pause = backoff.next(random.random())  # noqa: S311 - jitter
            again = isinstance(problem, Unavailable) and not request.waits
            if not again or clock.now() + pause >= deadline:
                raise problem
            await asyncio.sleep(pause)

    def leave(self, base: str) -> None:
        """The agent at `base` failed: use the next."""
        if self._bases[self._current] == base:
            self._current = (self._current + 1) % len(self._bases)

    @property
    def base(self) -> str:
        """The agent in use."""
        return self._bases[self._current]

    async def _once(self, base: str, request: Request, token: str, deadline: float) -> Reply:
        left = max(deadline - clock.now(), 0.001)
        if request.safe and not request.waits and len(self._bases) > 1:
            left = min(left, max(self.timeout / len(self._bases), 1.0))
        session = self._sessions[bool(request.waits)]
        # aiohttp's own `total` forgets a cancellation that comes in the moment in which it ends
        limit = aiohttp.ClientTimeout(total=None, sock_connect=min(left, self.timeout / 2))
        headers = {"X-Consul-Token": token} if token else {}
        try:
            async with (
                asyncio.timeout(left),
                session.request(
                    request.method,
                    URL(base + request.uri, encoded=True),
                    data=request.data or None,
                    headers=headers,
                    timeout=limit,
                    ssl=self._access.context or True,
                    server_hostname=self._access.server_name or None,
                    allow_redirects=False,
                ) as answer,
            ):
                reply = Reply(answer.status, answer.headers, await answer.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _translate(base, error, safe=request.safe) from error
        if reply.status != 200 and (problem := failure(base, reply.status, reply.body, safe=request.safe)):
            raise problem
        return reply

    async def close(self) -> None:
        """Release the connections."""
        for session in self._sessions:
            await session.close()


def _session(limit: int) -> aiohttp.ClientSession:
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=limit))
    # aiohttp sends a PUT again by itself when a kept connection breaks: a transaction would be applied twice.
    session._retry_connection = False
    return session


def _translate(base: str, error: aiohttp.ClientError | TimeoutError, *, safe: bool) -> StoreError:
    text = f"consul {base}: {str(error) or 'no answer in time'}"
    never_sent = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        text = f"consul {base}: its certificate is not trusted: {error.certificate_error}"
    return Unavailable(text) if safe or never_sent else Unknown(text)
