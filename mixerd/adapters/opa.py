"""Asks Open Policy Agent (its REST API, "Get a Document (with Input)")."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

import aiohttp
from pydantic import Field

from artemon.adapters import Adapter, Answer, Handler, Params, Place, Row, Shape
from artemon.errors import ArtemonError, Problem
from artemon.model.duration import Duration, Nanoseconds
from mixerd.adapters.plain import plain

DENIED = 7


class OpaParams(Params):
    """url: of a decision, as http://127.0.0.1:8181/v1/data/istio/authz/allow, that is true or false, or has
    `allow` and may have `reason`, `headers` and `status`; undefined is no. cachingInterval, cachingUseCount:
    of answers."""

    required: ClassVar[tuple[str, ...]] = ("url",)

    url: str = ""
    timeout: Duration = Nanoseconds(1_000_000_000)
    headers: dict[str, str] = Field(default_factory=dict)
    caching_interval: Duration | None = None
    caching_use_count: Annotated[int, Field(ge=0)] = 0


def _problems(params: OpaParams, _: Sequence[Shape]) -> Iterator[Problem]:
    parts = urlsplit(params.url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        yield Problem("spec.params.url", "must be like http://127.0.0.1:8181/v1/data/istio/authz/allow")
    if not 1_000_000 <= params.timeout <= 2_000_000_000:
        yield Problem("spec.params.timeout", "must be 1ms to 2s")


class Opa(Handler):
    """One session, kept."""

    def __init__(self, params: OpaParams, place: Place) -> None:
        self._params, self._name = params, place.name
        self._session: aiohttp.ClientSession | None = None

    async def check(self, row: Row) -> Answer:
        body = {"input": {"instance": row.instance, "template": row.template, **plain(row.values)}}
        decision = await self._decision(body)
        if isinstance(decision, bool):
            decision = {"allow": decision}
        if not isinstance(decision, dict):
            decision = {}
        allowed = decision.get("allow") is True
        headers, status = decision.get("headers"), decision.get("status")
        interval = self._params.caching_interval
        return Answer(
            code=0 if allowed else DENIED,
            message="" if allowed else str(decision.get("reason") or f"{self._name} does not allow it"),
            seconds=interval.seconds if interval else 0.0,
            uses=self._params.caching_use_count,
            headers={str(k): str(v) for k, v in headers.items()} if isinstance(headers, dict) else {},
            status=status if isinstance(status, int) and 400 <= status < 600 else 0,
        )

    async def _decision(self, body: Any) -> Any:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=self._params.timeout.seconds)
            self._session = aiohttp.ClientSession(timeout=timeout, headers=self._params.headers)
        try:
            async with self._session.post(self._params.url, json=body) as response:
                if response.status != 200:
                    raise ArtemonError(f"{self._params.url} answers {response.status}")
                answer = json.loads(await response.read())
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise ArtemonError(f"{self._params.url}: {error or 'no answer in time'}") from error
        return answer.get("result") if isinstance(answer, dict) else None

    async def close(self) -> None:
        session, self._session = self._session, None
        if session:
            await session.close()


plugin = Adapter(OpaParams, frozenset({"authorization", "listentry", "checknothing"}), Opa, _problems)
