"""One key set, fetched."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection
from typing import Any

import aiohttp

from artemon.daemon.addresses import check_url, session
from artemon.errors import ArtemonError
from artemon.model.jwks_source import DISCOVERY

LARGEST = 1 << 20
LONGEST = 5.0
_PUBLIC = frozenset({"RSA", "EC", "OKP"})


class NotFetched(ArtemonError):
    """Why there is no key set."""


async def fetch_keys(source: str, *, timeout: float = LONGEST, allowed: Collection[str] = ()) -> str:
    """The key set behind a URL, or behind the one that an OpenID configuration names; public keys alone.

    No redirects, at most 1 MiB and `timeout` seconds in all. Raises NotFetched and Forbidden.
    """
    try:
        async with asyncio.timeout(min(timeout, LONGEST)), session(allowed) as client:
            found = await _read(client, source, allowed)
            if source.endswith(DISCOVERY) and "keys" not in found:
                found = await _read(client, str(found.get("jwks_uri")), allowed)
    except TimeoutError:
        raise NotFetched(f"{source}: no answer in {min(timeout, LONGEST):g} s") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise NotFetched(f"{source}: {error or type(error).__name__}") from error
    return public_keys(source, found)


async def _read(client: aiohttp.ClientSession, url: str, allowed: Collection[str]) -> dict[str, Any]:
    check_url(url, allowed)
    async with client.get(url, allow_redirects=False) as answer:
        if answer.status != 200:
            raise NotFetched(f"{url}: answered {answer.status}")
        body = bytearray()
        async for part in answer.content.iter_chunked(1 << 14):
            body += part
            if len(body) > LARGEST:
                raise NotFetched(f"{url}: is larger than {LARGEST} bytes")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise NotFetched(f"{url}: is no JSON") from None
    if not isinstance(found, dict):
        raise NotFetched(f"{url}: is no JSON object")
    return found


def public_keys(source: str, found: dict[str, Any]) -> str:
    """The public keys of a set, as canonical text. What everybody can fetch must not sign: symmetric keys
    are left out. Raises NotFetched."""
    listed = found.get("keys")
    keys = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    public = [one for one in keys if one.get("kty") in _PUBLIC and "d" not in one]
    if not public:
        raise NotFetched(f"{source}: has no public key")
    return json.dumps({"keys": public}, sort_keys=True, separators=(",", ":"))
