"""meshctl dashboard: the page that shows who calls whom."""

from __future__ import annotations

import asyncio
import signal
import webbrowser

import click

from meshctl.connection import connected
from meshctl.context import Target
from meshctl.window import window


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on loopback; any that is free.")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@connected
def dashboard(target: Target, port: int, no_browser: bool) -> int:
    """Open the page that shows who calls whom, with your rights, until interrupted.

    Example: meshctl dashboard
    """

    async def main() -> None:
        ended = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        async with window(target.access, port) as url:
            click.echo(url)
            click.echo("interrupt to close it", err=True)
            if not no_browser:
                await asyncio.to_thread(webbrowser.open, url)
            await ended.wait()

    asyncio.run(main())
    return 0
