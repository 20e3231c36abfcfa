"""Quotas in Redis, for all mixerds together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field

from artemon.adapters import Adapter, Handler, Params, Place, QuotaAnswer, Row, Shape
from artemon.errors import ArtemonError, Problem
from artemon.model.duration import Duration
from artemon.model.message import Seq
from mixerd.adapters.quotas import SECOND, Quota, dimensions_of, quota_of, quota_problems

TIMEOUT_SECONDS = 1.0
_MILLISECOND = 1_000_000

SCRIPT = """
-- a window of buckets: number of a bucket -> what was used in it; the server's clock counts
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local most, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local bucket, amount = tonumber(ARGV[3]), tonumber(ARGV[4])
local current = math.floor(now / bucket)
local oldest = current - window / bucket + 1
local used, first = 0, current
local all = redis.call('HGETALL', KEYS[1])
for index = 1, #all, 2 do
  local number = tonumber(all[index])
  if number < oldest then
    redis.call('HDEL', KEYS[1], all[index])
  else
    used = used + tonumber(all[index + 1])
    if number < first then first = number end
  end
end
local wait = (first + window / bucket) * bucket - now
if used + amount > most then return {0, wait} end
redis.call('HINCRBY', KEYS[1], current, amount)
redis.call('PEXPIRE', KEYS[1], window + bucket)
return {amount, wait}
"""


class RedisQuota(Quota):
    """bucketDuration: steps of a ROLLING_WINDOW, whole parts of validDuration; a tenth of it by default."""

    bucket_duration: Duration | None = None


class RedisquotaParams(Params):
    """redisServerUrl: `host:port`, or redis:// or rediss:// with user and password."""

    required: ClassVar[tuple[str, ...]] = ("redisServerUrl", "quotas")

    redis_server_url: str = ""
    connection_pool_size: Annotated[int, Field(ge=1, le=1000)] = 10
    quotas: Seq[RedisQuota] = ()


def _problems(params: RedisquotaParams, shapes: Sequence[Shape]) -> Iterator[Problem]:
    from redis.connection import parse_url

    try:
        parse_url(_url(params))  # type: ignore[no-untyped-call]
    except ValueError as error:
        yield Problem("spec.params.redis_server_url", f"is no URL of Redis: {error}")
    yield from quota_problems(params, shapes)
    for index, quota in enumerate(params.quotas):
        path, step = f"spec.params.quotas[{index}].bucket_duration", quota.bucket_duration
        if step is None:
            continue
        spans = [quota.valid_duration, *(one.valid_duration for one in quota.overrides)]
        if quota.rate_limit_algorithm != "ROLLING_WINDOW":
            yield Problem(path, "is of ROLLING_WINDOW alone")
        elif step < 10 * _MILLISECOND or any(span and (span % step or span < step) for span in spans):
            yield Problem(path, "must be at least 10ms, and a whole part of valid_duration")
        elif any(span and span // step > 1000 for span in spans):
            yield Problem(path, "must be at least a thousandth of valid_duration")


def _url(params: RedisquotaParams) -> str:
    written = params.redis_server_url
    return written if "://" in written else f"redis://{written}"


class Redisquota(Handler):
    """One pool of connections; a script makes each decision atomic."""

    def __init__(self, params: RedisquotaParams, place: Place) -> None:
        from redis.asyncio import Redis

        self._params, self._place = params, place
        self._redis: Any = Redis.from_url(
            _url(params),
            max_connections=params.connection_pool_size,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
        )
        self._decide = self._redis.register_script(SCRIPT)

    async def quota(self, row: Row, amount: int) -> QuotaAnswer:
        from redis.exceptions import RedisError

        quota = quota_of(self._params.quotas, row)
        dimensions = dimensions_of(row)
        most, span = quota.terms_for(dimensions)
        step = span
        if quota.rate_limit_algorithm == "ROLLING_WINDOW":
            step = int(quota.bucket_duration or span // 10)
        arguments = (most, span // _MILLISECOND, step // _MILLISECOND, amount)
        key = self._key(quota, dimensions, span)
        try:
            granted, wait = await self._decide(keys=[key], args=arguments)
        except (RedisError, OSError) as error:
            raise ArtemonError(f"Redis: {error}") from error
        return QuotaAnswer(int(granted), max(0, int(wait)) / 1000)

    def _key(self, quota: RedisQuota, dimensions: dict[str, str], span: int) -> str:
        values = hashlib.sha256(json.dumps(sorted(dimensions.items())).encode()).hexdigest()[:32]
        return f"artemon:quota:{self._place.name}:{quota.name}:{span // SECOND}:{values}"

    async def close(self) -> None:
        await self._redis.aclose()


plugin = Adapter(RedisquotaParams, frozenset({"quota"}), Redisquota, _problems)
