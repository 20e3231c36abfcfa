"""meshctl registry export, import, migrate: the store itself, spoken to directly, for who operates it."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import click

from artemon import log
from artemon.errors import ArtemonError
from artemon.store import archive, moving
from artemon.store.api import Store
from artemon.store.inspect import Finding, inspect
from artemon.store.layout import Layout
from artemon.store.open import open_store
from artemon.store.schema import key_of

R = TypeVar("R")
DASH = Path("-")
FILE = click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
MESH = click.option("--mesh", default="default", show_default=True, help="Name of the mesh in the registry.")
URL = click.option(
    "--registry", "url", required=True, envvar="ARTEMON_REGISTRY",
    help="URL of the registry, as the daemons have it.",
)  # fmt: skip


async def checked(url: str, mesh: str) -> list[Finding]:
    """What a look at the store itself finds."""

    async def work(store: Store) -> list[Finding]:
        return await inspect(store, url, mesh)

    return await _with(url, work)


@click.command("export")
@URL
@MESH
@FILE
def export(url: str, mesh: str, file: Path) -> int:
    """Write everything that lasts into FILE (0600): what has a lease is left out, Secrets stay encrypted.

    FILE may be -, standard output.
    Example: meshctl registry export --registry etcd://127.0.0.1:2379 mesh.backup
    """

    async def exported(store: Store) -> archive.Archive:
        return await moving.export(store, Layout(mesh).root)

    made = asyncio.run(_with(url, exported))
    if file == DASH:
        click.echo(archive.encoded(made), nl=False)
    else:
        archive.write(file, made)
    told = f"{len(made.items)} keys of {made.root} at revision {made.revision}, sha256 {made.digest}"
    click.echo(told, err=file == DASH)
    return 0


@click.command("import")
@URL
@MESH
@FILE
def import_(url: str, mesh: str, file: Path) -> int:
    """Write FILE into a registry that holds nothing else, and verify it. Repeat it when it was cut off.

    FILE may be -, standard input.
    Example: meshctl registry import --registry consul://127.0.0.1:8500 mesh.backup
    """
    read = archive.decoded(sys.stdin.buffer.read(), "standard input") if file == DASH else archive.read(file)
    if read.root != Layout(mesh).root:
        raise ArtemonError(f"{file}: is of {read.root}, not of {Layout(mesh).root}; see --mesh")

    async def imported(store: Store) -> moving.Moved:
        return await moving.restore(store, read)

    done = asyncio.run(_with(url, imported))
    click.echo(f"{done.keys} keys, {done.written} of them written now, verified: sha256 {done.digest}")
    return 0


@click.command("migrate")
@click.option("--from", "source", required=True, help="URL of the registry that is in use.")
@click.option("--to", "target", required=True, help="URL of the registry that will be.")
@click.option("--once", is_flag=True, help="End when both were the same for the first time.")
@MESH
def migrate(source: str, target: str, once: bool, mesh: str) -> int:
    """Copy a registry into another while the mesh goes on, and keep them the same until Ctrl-C.

    Say so to the daemons when it says "the same": set --registry to the new one and restart them, galleyd
    last; then end this. What has a lease is not copied, its owners write it again.

    Example: meshctl registry migrate --from sqlite:///var/lib/artemon/mesh.db --to etcd://127.0.0.1:2379
    """
    if source == target:
        raise ArtemonError(f"{source}: --from and --to are the same registry")
    verified = asyncio.run(_migrated(source, target, Layout(mesh).root, once=once))
    return 0 if verified else 1


async def _migrated(source: str, target: str, root: str, *, once: bool) -> bool:
    stop, told = asyncio.Event(), list[moving.Moved]()

    def tell(moved: moving.Moved) -> None:
        if not told or told[-1].digest != moved.digest:
            line = f"the same at revision {moved.revision}: {moved.keys} keys, {moved.written} written"
            click.echo(f"{line}, sha256 {moved.digest}")
        told.append(moved)
        if once:
            stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

    async def both(old: Store) -> None:
        await old.get(key_of(root))  # one that cannot be read at all is told at once
        await _with(target, lambda new: _until(stop, moving.migrate(old, new, root, tell)))

    await _with(source, both)
    return bool(told)


async def _until(stop: asyncio.Event, work: Awaitable[None]) -> None:
    """Do `work` until it fails or `stop` is set."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if working.done():
        await working
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working


async def _with(url: str, work: Callable[[Store], Awaitable[R]]) -> R:
    log.setup(level="warning")
    store = await open_store(url)
    try:
        return await work(store)
    finally:
        await store.close()
