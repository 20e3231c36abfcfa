"""What a service was asked in hours and days, from a Prometheus that keeps the proxies' metrics.

Its HTTP API: https://prometheus.io/docs/prometheus/latest/querying/api/ ("Range queries").
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from artemon.errors import ArtemonError

SHORTEST, LONGEST = 60.0, 30 * 86400.0
POINTS = 120
LEAST_STEP = 15.0
"""Seconds between two points, and within which two scrapes are expected."""
_SECONDS = 10.0
_CHOSEN = (
    '{{reporter="destination",destination_service_namespace={namespace},destination_service_name={name}'
    "{more}}}"
)
_QUERIES: Mapping[str, str] = {
    "rate": "sum(rate(istio_requests_total{all}[{over}s]))",
    "failed": "sum(rate(istio_requests_total{failed}[{over}s]))",
    "p99": "histogram_quantile(0.99, sum by (le) "
    "(rate(istio_request_duration_milliseconds_bucket{all}[{over}s])))",
}


def endpoint(url: str) -> str:
    """The address of a Prometheus without a final slash. Raises ArtemonError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise ArtemonError(f'prometheus: "{url}" must be like http://127.0.0.1:9090')
    return url.rstrip("/")


class History:
    """Asks. url: of the Prometheus, "" for none; now: seconds since 1970."""

    def __init__(self, url: str, now: Callable[[], float], *, least_step: float = LEAST_STEP) -> None:
        self._url = endpoint(url) if url else ""
        self._now, self._least = now, least_step

    async def of(self, namespace: str, name: str, seconds: float) -> dict[str, Any]:
        """`at`, and as many numbers or None: requests and failures a second, p99 in milliseconds. Raises
        ArtemonError: Prometheus does not answer, or not as it should."""
        if not self._url:
            return {"configured": False, "at": []}
        step = max(math.ceil(self._least), math.ceil(seconds / POINTS))
        end = math.floor(self._now() / step) * step
        times = [end - step * number for number in range(int(seconds / step), -1, -1)]
        chosen = {"namespace": json.dumps(namespace), "name": json.dumps(name)}
        labels = {
            "all": _CHOSEN.format(**chosen, more=""),
            "failed": _CHOSEN.format(**chosen, more=',response_code=~"0|5.."'),
        }
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS)) as session:
            asked = {
                kind: self._range(session, query.format(**labels, over=step * 2), times[0], end, step)
                for kind, query in _QUERIES.items()
            }
            found = dict(zip(asked, await asyncio.gather(*asked.values()), strict=True))
        series = {kind: [points.get(round(at)) for at in times] for kind, points in found.items()}
        return {"configured": True, "step": step, "at": times, **series}

    async def _range(
        self, session: aiohttp.ClientSession, query: str, start: float, end: float, step: float
    ) -> dict[int, float]:
        asked = {"query": query, "start": str(start), "end": str(end), "step": str(step)}
        try:
            async with session.post(f"{self._url}/api/v1/query_range", data=asked) as response:
                answer = json.loads(await response.read())
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise ArtemonError(f"{self._url}: {error or 'no answer in time'}") from error
        if not isinstance(answer, dict) or answer.get("status") != "success":
            reason = answer.get("error") if isinstance(answer, dict) else ""
            raise ArtemonError(f"{self._url} refuses the question: {reason or 'an unknown answer'}")
        series = answer["data"]["result"]
        points = series[0]["values"] if series else []
        return {round(at): float(value) for at, value in points if math.isfinite(float(value))}
