"""One instance of the sample: `python -m meshctl.bookinfo reviews --version v2 --listen 127.0.1.22:9081`.

It speaks plain HTTP and knows nothing of the mesh: calls to other services go to `http_proxy`, which is its
sidecar, and who called it stands in the header that its sidecar adds.
"""

from __future__ import annotations

import asyncio
import os
import signal

import click
from aiohttp import ClientSession, ClientTimeout, web

from meshctl.bookinfo.services import SERVICES, application


@click.command()
@click.argument("service", type=click.Choice(sorted(SERVICES)))
@click.option("--version", default="v1", show_default=True)
@click.option("--listen", required=True, metavar="HOST:PORT")
def main(service: str, version: str, listen: str) -> None:
    """Serve SERVICE until told to stop."""
    asyncio.run(serve(service, version, listen=listen))


async def serve(service: str, version: str, *, listen: str) -> None:
    """Serve until SIGTERM."""
    host, _, port = listen.rpartition(":")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    upstream = os.environ.get("BOOKINFO_PORT", "9080")
    async with ClientSession(trust_env=True, timeout=ClientTimeout(total=5)) as session:
        app = application(service, version, session=session, port=int(upstream))
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, host, int(port), shutdown_timeout=1).start()
        await stop.wait()
        await runner.cleanup()


if __name__ == "__main__":
    main()
