"""The webhook over HTTP."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from aiohttp import web

from artemon.inject import Injection, Injector
from artemon.kube.admission import Asked, Malformed, read
from artemon.log import Log
from injectord.metrics import Counts
from injectord.review import Verdict, answer

_PLACES = {"cluster": "ISTIO_META_CLUSTER_ID", "net": "ISTIO_META_NETWORK"}
_VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,252}")


class Webhook:
    """Answers reviews under the configuration of the moment."""

    def __init__(self, injector: Callable[[], Injector], counts: Counts, log: Log) -> None:
        self._injector, self._counts, self._log = injector, counts, log

    def routes(self) -> list[web.RouteDef]:
        """`/inject`, and `/inject/cluster/<name>/net/<name>` as Istio has it."""
        return [web.post("/inject", self.inject), web.post("/inject/{place:.*}", self.inject)]

    async def inject(self, request: web.Request) -> web.Response:
        """One review. 400: no review; 404: no such place; 413: too large; 415: not JSON."""
        started = time.monotonic()
        self._counts.requests.inc()
        try:
            return await self._inject(request)
        except web.HTTPException as refusal:
            self._counts.outcomes["failure"].inc()
            self._log.warning("refused", status=refusal.status, reason=refusal.text)
            raise
        finally:
            self._counts.seconds.observe(time.monotonic() - started)

    async def _inject(self, request: web.Request) -> web.Response:
        injector = replace(self._injector(), environment=_place(request.match_info.get("place", "")))
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(text=f"{request.content_type} is not application/json\n")
        try:
            asked = read(await request.read())
        except Malformed as error:
            raise web.HTTPBadRequest(text=f"the body {error}\n") from error

        def inject(obj: Mapping[str, Any], namespace: str) -> Injection:
            return injector.inject(obj, namespace=namespace)

        verdict = answer(asked, inject)
        self._counts.outcomes[verdict.outcome].inc()
        self._tell(asked, verdict)
        return web.json_response(verdict.body)

    def _tell(self, asked: Asked, verdict: Verdict) -> None:
        metadata = (asked.object or {}).get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        name = metadata.get("name") or f"{metadata.get('generateName', '')}?"
        told = self._log.warning if verdict.outcome == "failure" else self._log.info
        told("reviewed", pod=f"{asked.namespace}/{name}", outcome=verdict.outcome, reason=verdict.reason)


def _place(path: str) -> dict[str, str]:
    """`cluster/east/net/n1` -> variables of the proxy. Only these two; `--slash--` stands for a slash."""
    steps = path.strip("/").split("/") if path.strip("/") else []
    found: dict[str, str] = {}
    for key, value in zip(steps[::2], steps[1::2], strict=False):
        text = value.replace("--slash--", "/")
        if key not in _PLACES or not _VALUE.fullmatch(text):
            raise web.HTTPNotFound(text=f"/inject/{key}/{value}: only cluster and net, with a plain name\n")
        found[_PLACES[key]] = text
    if len(steps) % 2:
        raise web.HTTPNotFound(text=f"/inject/{path}: {steps[-1]} has no value\n")
    return found
