"""What galleyd itself wrote: signing it, and telling it from what others wrote into the registry."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any

from aiohttp import web

from artemon.daemon.identity import IdentityKeeper
from artemon.daemon.run import Context
from artemon.daemon.signers import Forged, Signers
from artemon.store.api import Batch, Deleted, Entry, Snapshot, Store, WatchItem
from artemon.store.layout import Layout
from galleyd import status
from galleyd.settings import GalleySettings
from galleyd.signer import Signer


class Authenticity:
    """signer: signs with this replica's key; the keys of other replicas count too."""

    def __init__(
        self, settings: GalleySettings, store: Store, context: Context, keeper: IdentityKeeper | None
    ) -> None:
        self._store, self._layout, self._log = store, Layout(settings.mesh), context.log
        roots = (lambda: keeper.current().roots_pem) if keeper else None
        self._signers = Signers(settings.mesh, settings.trust_domain, roots=roots, log=context.log)
        self.signer = Signer(
            store,
            self._layout,
            Path(settings.state_dir),
            signers=self._signers,
            keeper=keeper,
            days=settings.signing_key_days,
            log=context.log,
        )

    def routes(self) -> list[web.RouteDef]:
        """The paths: for administrators of the mesh."""
        path = "/artemon/v1/signingkey"
        return [web.get(path, self.show), web.post(path, self.rotate)]

    async def show(self, request: web.Request) -> web.Response:
        """GET: the id of this replica's signing key, and of the one that it replaces, while it does."""
        return web.json_response(self.signer.shown())

    async def rotate(self, request: web.Request) -> web.Response:
        """POST: sign with a new key from now on, and sign anew what the old one signed."""
        if not self.signer.rotate():
            raise status.ApiError(409, "Conflict", "the last change of the key is not finished yet; wait")
        return web.json_response(self.signer.shown())

    def jobs(self) -> list[Coroutine[Any, Any, None]]:
        """What runs beside the server."""
        return [self.signer.run(), self._follow()]

    def is_ours(self, entry: Entry) -> bool:
        """Whether galleyd wrote a value, and none newer in its place."""
        try:
            self._signers.body(self._layout.relative(entry.key), entry.value)
        except Forged as error:
            self._log.error("registry_value_unusable", key=entry.key, reason=error)
            return False
        return True

    def seen(self, item: WatchItem) -> None:
        """What others wrote: what is written from now on is newer."""
        for change in _changes(item):
            if isinstance(change, Entry):
                self.signer.seen(change.value)

    async def _follow(self) -> None:
        """Know the keys of other replicas, until cancelled."""
        prefix = self._layout.signers
        async for item in self._store.watch(prefix):
            for change in _changes(item):
                value = change.value if isinstance(change, Entry) else None
                self._signers.take(change.key.removeprefix(prefix), value)


def _changes(item: WatchItem) -> Iterable[Entry | Deleted]:
    match item:
        case Snapshot():
            return item.entries
        case Batch():
            return item.changes
    return ()
