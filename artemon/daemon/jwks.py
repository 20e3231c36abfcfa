"""Where the keys of a token issuer come from: fetched over HTTPS, or read from a file; the last good ones are
kept for a bounded time. There is no key but the issuer's."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from artemon.daemon.addresses import check_url, session
from artemon.daemon.files import read_public
from artemon.errors import ArtemonError
from artemon.log import Log
from artemon.pki.jwt import JwtRefused, Key, read_keys, read_object

SECONDS = 5.0
MAX_BYTES = 1024 * 1024
REFRESH = 300.0
PAUSE = 10.0
"""Seconds between two fetches at least, whoever asks for them."""
KEPT = 24 * 3600.0
"""Seconds that keys are good for when the issuer cannot be reached."""
_DISCOVERY = "/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True)
class Place:
    """issuer: its URL. keys: a URL or file of its JWKS; empty: found by OpenID Connect discovery. ca: roots
    (PEM file) that its servers' certificates lead to; empty: the machine's. allowed: hosts that may be
    anywhere, while no other may be this machine, its links, the registry (`artemon.daemon.addresses`); None:
    nothing is refused, the operator of this daemon wrote the URL."""

    issuer: str
    keys: str = ""
    ca: str = ""
    allowed: Collection[str] | None = None


class Jwks:
    """The keys of one issuer. `run()` keeps them fresh. now: seconds of a clock that does not jump."""

    def __init__(self, place: Place, log: Log, *, now: Callable[[], float] = time.monotonic) -> None:
        self._place, self._log, self._now = place, log, now
        self._keys: tuple[Key, ...] = ()
        self._good_at = self._tried_at = float("-inf")
        self._turn = asyncio.Lock()

    async def keys(self, *, wanted: str = "") -> tuple[Key, ...]:
        """The keys; fetched anew when none is called `wanted`. Raises JwtRefused when there are none, or the
        last good ones are too old."""
        known = any(key.kid == wanted for key in self._keys) if wanted else bool(self._keys)
        if not known and self._now() - self._tried_at >= PAUSE:
            await self.refresh()
        if not self._keys or self._now() - self._good_at > KEPT:
            raise JwtRefused("the keys of the token's issuer are not known at the moment")
        return self._keys

    async def run(self) -> None:
        """Fetch from time to time, until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(REFRESH if self._keys else PAUSE)

    async def refresh(self) -> None:
        """Fetch once; a failure is logged and the last good keys stay."""
        async with self._turn:
            if self._now() - self._tried_at < PAUSE:
                return
            self._tried_at = self._now()
            try:
                self._keys = read_keys(await self._read())
                self._good_at = self._now()
            except (ArtemonError, OSError, aiohttp.ClientError, TimeoutError, ValueError) as error:
                self._log.warning("keys_not_fetched", issuer=self._place.issuer, reason=error)

    async def _read(self) -> bytes:
        where = self._place.keys
        if where and "://" not in where:
            found = await asyncio.to_thread(read_public, Path(where))
            if found is None:
                raise ArtemonError(f"{where}: there is no such file")
            return found
        context = ssl.create_default_context(cafile=self._place.ca or None)
        async with self._session(context) as client:
            if not where:
                found = await self._get(client, self._place.issuer.rstrip("/") + _DISCOVERY)
                discovered = read_object(found, "it")
                if discovered.get("issuer") != self._place.issuer:
                    raise ArtemonError("the discovery document is of another issuer")
                where = str(discovered.get("jwks_uri", ""))
            return await self._get(client, where)

    def _session(self, context: ssl.SSLContext) -> aiohttp.ClientSession:
        if self._place.allowed is not None:
            return session(self._place.allowed, tls=context, seconds=SECONDS)
        connector = aiohttp.TCPConnector(ssl=context)
        return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=SECONDS))

    async def _get(self, client: aiohttp.ClientSession, url: str) -> bytes:
        if self._place.allowed is not None:
            check_url(url, self._place.allowed)
        return await _get(client, url)


async def _get(session: aiohttp.ClientSession, url: str) -> bytes:
    if not url.startswith("https://"):
        raise ArtemonError(f"{url}: must be an https:// URL")
    async with session.get(url, allow_redirects=False) as response:
        if response.status != 200:
            raise ArtemonError(f"{url}: answered {response.status}")
        content: Any = await response.content.read(MAX_BYTES + 1)
        while len(content) <= MAX_BYTES and (more := await response.content.read(MAX_BYTES)):
            content += more
    if len(content) > MAX_BYTES:
        raise ArtemonError(f"{url}: is larger than {MAX_BYTES} bytes")
    found: bytes = content
    return found
