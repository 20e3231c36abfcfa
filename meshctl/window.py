"""A server on loopback through which a browser reads from galleyd with the rights of whoever started it.

Only under a path that nobody can guess, only by the names of loopback (against DNS rebinding), only reading.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web

from artemon.daemon.http import serve_app
from artemon.kube.access import Access

PAGE = "artemon/v1/dashboard"
_SHOWN = re.compile(
    r"(?!.*\.\.)(artemon/v1/(dashboard|proxies|certificates|telemetry/[a-z]+)|apis/[a-z0-9./-]+)"
)
_LOOPBACK = frozenset({"127.0.0.1", "localhost"})
_PASSED_ON = ("Content-Type", "Content-Security-Policy", "X-Content-Type-Options")


@asynccontextmanager
async def window(access: Access, port: int = 0) -> AsyncIterator[str]:
    """Serves while the block runs; yields the page's URL. Raises ArtemonError: the port is in use."""
    secret = secrets.token_urlsafe(24)
    connector = TCPConnector(ssl=access.ssl())
    headers = {"Authorization": f"Bearer {access.token}"} if access.token else {}
    async with ClientSession(
        connector=connector, headers=headers, timeout=ClientTimeout(total=30)
    ) as session:

        async def pass_on(request: web.Request) -> web.Response:
            path = request.match_info["path"]
            host = (request.host or "").rpartition(":")[0]
            known = secrets.compare_digest(request.match_info["secret"], secret)
            if not known or host not in _LOOPBACK or not _SHOWN.fullmatch(path):
                return web.json_response({"message": "there is nothing here"}, status=404)
            return await _asked(session, access, f"/{path}?{request.query_string}")

        app = web.Application()
        app.router.add_get("/{secret}/{path:.*}", pass_on)
        async with serve_app(f"127.0.0.1:{port}", app) as bound:
            yield f"http://{bound}/{secret}/{PAGE}"


async def _asked(session: ClientSession, access: Access, path: str) -> web.Response:
    try:
        async with session.get(
            access.server.rstrip("/") + path, server_hostname=access.server_name or None
        ) as answer:
            headers = {name: answer.headers[name] for name in _PASSED_ON if name in answer.headers}
            headers["Cache-Control"] = "no-store"
            return web.Response(body=await answer.read(), status=answer.status, headers=headers)
    except (ClientError, TimeoutError, OSError) as error:
        return web.json_response({"message": f"galleyd does not answer: {error}"}, status=502)
