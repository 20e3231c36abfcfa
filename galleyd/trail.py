"""galleyd's audit log: every change before it is made, what became of it, and every refusal."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from artemon.daemon.audit import AuditLog, AuditUnavailable, check_chain, last_entries
from artemon.errors import ArtemonError
from galleyd import request as ask
from galleyd import status
from galleyd.judge import OURS

STRANGERS_A_SECOND = 20
"""Refusals of callers who are not known that get a line each; more are counted in one line."""
MOST_LINES = 1000
CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_FOR_RIGHTS = frozenset({401, 403, 421})
_WRITER = frozenset({"transactions", "mesh"})
"""Below OURS: what the writer audits by itself."""


@dataclass(slots=True)
class Trail:
    """The audit log of one galleyd. now: seconds of a clock that does not jump."""

    log: AuditLog
    path: Path
    now: Callable[[], float] = time.monotonic
    _second: int = 0
    _strangers: int = field(default=0)

    def routes(self) -> list[web.RouteDef]:
        """The paths: for auditors."""
        return [
            web.get("/artemon/v1/audit", self.list_lines),
            web.get("/artemon/v1/audit/check", self.check),
        ]

    async def settled(self, request: web.Request, error: Exception | None, code: int) -> None:
        """Write down a refusal, or a change that was not the writer's. Raises AuditUnavailable."""
        changing = request.method in CHANGING
        if code in _FOR_RIGHTS or (changing and code >= 400):
            await self._refused(request, error, code)
        elif changing and self._is_other_change(request):
            await self.log.append("done", **_about(request), code=code)

    async def asked(self, request: web.Request) -> None:
        """Write down, before it is made, a change that is not the writer's. Raises AuditUnavailable."""
        if request.method in CHANGING and self._is_other_change(request):
            await self.log.append("asked", **_about(request))

    async def _refused(self, request: web.Request, error: Exception | None, code: int) -> None:
        decision = "failed" if code >= 500 else "refused"
        about = _about(request)
        if "who" not in about:
            second = int(self.now())
            if second != self._second:
                surplus = self._strangers - STRANGERS_A_SECOND
                self._second, self._strangers = second, 0
                if surplus > 0:
                    await self.log.append("refused", reason="callers who are not known", count=surplus)
            self._strangers += 1
            if self._strangers > STRANGERS_A_SECOND:
                return
        await self.log.append(decision, **about, code=code, reason=str(error or ""))

    @staticmethod
    def _is_other_change(request: web.Request) -> bool:
        resource = request.match_info.route.resource
        path = resource.canonical if resource is not None else ""
        return path.startswith(OURS) and path.removeprefix(OURS).partition("/")[0] not in _WRITER

    async def list_lines(self, request: web.Request) -> web.Response:
        """GET `?limit=N`: the last lines, the newest first."""
        limit = min(ask.number(request, "limit", 50), MOST_LINES)
        return web.json_response({"items": last_entries(self.path, limit)})

    async def check(self, request: web.Request) -> web.Response:
        """GET: whether the log is whole, judged by what this process knows of its end."""
        head = self.log.head
        try:
            with self.path.open("rb") as lines:
                count = check_chain(lines, head=head)
        except (ArtemonError, OSError) as error:
            return web.json_response({"ok": False, "problem": str(error)})
        return web.json_response({"ok": True, "lines": count})


def unaudited(error: AuditUnavailable) -> status.ApiError:
    """503: what cannot be written down is not done."""
    return status.unavailable(f"{error}; nothing was changed")


def _about(request: web.Request) -> dict[str, object]:
    caller = request.get(ask.CALLER)
    who = {"who": caller.name, "how": caller.how} if caller else {}
    return {**who, "address": request.remote or "", "method": request.method, "path": request.path}
