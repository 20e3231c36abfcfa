"""Another proxyd takes the place of this one, in the same process, while Envoy goes on."""

from __future__ import annotations

import asyncio

from artemon.daemon.run import Context, command_line

CHECK_SECONDS = 120.0


async def anew(context: Context) -> bool:
    """Return when proxyd is to stop (false), or to be started anew (true): at SIGHUP, when what is installed
    by now can be started with what the settings say by now. What cannot be is told, and we go on."""
    while True:
        async with asyncio.TaskGroup() as tasks:
            waits = [tasks.create_task(one.wait()) for one in (context.stop, context.reload)]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for one in waits:
                one.cancel()
        if context.stop.is_set():
            return False
        context.reload.clear()
        reason = await _cannot_start()
        if not reason:
            context.again.set()
            return True
        context.log.error("not_reloaded", reason=reason)


async def _cannot_start() -> str:
    """Why it would not start; empty when it would."""
    nowhere, pipe = asyncio.subprocess.DEVNULL, asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command_line(), "--check-config", stdin=nowhere, stdout=nowhere, stderr=pipe
    )
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            _, said = await process.communicate()
    except TimeoutError:
        process.kill()
        return f"its settings are not checked within {CHECK_SECONDS:.0f} s"
    return "" if process.returncode == 0 else said.decode(errors="replace").strip() or "it fails"
