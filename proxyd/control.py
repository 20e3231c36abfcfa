"""What operators may ask of a running proxyd, over a Unix socket in its run directory (0700)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from artemon.daemon.sockets import reachable
from artemon.errors import ArtemonError
from proxyd.admin import Admin
from proxyd.wellbeing import Wellbeing

SOCKET = "control.sock"


@asynccontextmanager
async def control(run_dir: Path, wellbeing: Wellbeing, admin: Admin) -> AsyncIterator[None]:
    """Serve while in the context. Raises ArtemonError when the socket cannot be made."""

    async def told() -> web.Response:
        return web.json_response({"health": wellbeing.health.value, "active": await admin.active()})

    async def drain(_: web.Request) -> web.Response:
        wellbeing.drain(True)
        return await told()

    async def undrain(_: web.Request) -> web.Response:
        wellbeing.drain(False)
        return await told()

    async def health(_: web.Request) -> web.Response:
        return await told()

    app = web.Application(client_max_size=4096)
    app.add_routes([web.post("/drain", drain), web.post("/undrain", undrain), web.get("/health", health)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    path = run_dir / SOCKET
    path.unlink(missing_ok=True)
    with reachable(path) as name:
        try:
            try:
                await web.UnixSite(runner, name).start()
            except OSError as error:
                raise ArtemonError(f"{path}: {error.strerror}") from error
            path.chmod(0o600)
            yield
        finally:
            await runner.cleanup()
