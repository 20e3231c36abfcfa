"""The proxy's certificate as files, for programs of the workload that speak TLS themselves (OUTPUT_CERTS).

`key.pem`, `cert-chain.pem` and `root-cert.pem` are links through `..data`, which is exchanged as a whole, as
a kubelet does it with Secrets: a program that reads the three in a row may see two generations, one that
opens `..data` once sees one.
"""

from __future__ import annotations

import asyncio
import grp
import hashlib
import os
import shutil
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

from artemon.daemon.files import KUBELET_LINK, sync_dir
from artemon.daemon.identity import IdentityKeeper
from artemon.daemon.identity_files import CHAIN, KEY, ROOTS, Identity
from artemon.errors import ArtemonError
from artemon.log import Log
from proxyd.settings import ProxydSettings


def output_certs(
    settings: ProxydSettings, keeper: IdentityKeeper, joined: asyncio.Event, log: Log
) -> Iterator[Coroutine[Any, Any, None]]:
    """Keeps them until cancelled, where the settings say so. joined: set when there is an identity."""
    if settings.output_certs:
        kept = OutputCerts(Path(settings.output_certs), settings.output_certs_group, log)
        yield _follow(kept, keeper, joined)


async def _follow(kept: OutputCerts, keeper: IdentityKeeper, joined: asyncio.Event) -> None:
    await joined.wait()
    while True:
        identity = keeper.current()
        await asyncio.to_thread(kept.publish, identity)
        await keeper.changed(identity)


class OutputCerts:
    """Keeps the files of one directory right. group: whose members may read the key; empty: only our user."""

    def __init__(self, directory: Path, group: str, log: Log) -> None:
        self._directory, self._group, self._log = directory, group, log

    def publish(self, identity: Identity) -> None:
        """Write what is new; a directory that cannot be written is logged, and the proxy goes on."""
        try:
            self._write(identity)
        except (OSError, ArtemonError) as error:
            self._log.error(
                "certificate files not written", directory=str(self._directory), reason=str(error)
            )
        else:
            until = identity.not_after.isoformat(timespec="seconds")
            self._log.info("certificate files written", directory=str(self._directory), until=until)

    def _write(self, identity: Identity) -> None:
        content = {
            KEY: identity.key_pem,
            CHAIN: identity.cert_chain_pem,
            ROOTS: identity.roots_pem,
        }
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o755)
        for name in content:
            self._refuse_foreign(self._directory / name)
        mark = hashlib.sha256(b"\0".join(content.values())).hexdigest()[:16]
        made = self._directory / f"..{mark}"
        if not made.is_dir():
            self._fill(made, content)
        self._link(KUBELET_LINK, made.name)
        for name in content:
            self._link(name, f"{KUBELET_LINK}/{name}")
        sync_dir(self._directory)
        for old in self._directory.glob("..*"):
            if old.is_dir() and not old.is_symlink() and old != made:
                shutil.rmtree(old)

    def _refuse_foreign(self, path: Path) -> None:
        if path.exists() and not path.is_symlink():
            raise ArtemonError(f"{path} is there and not ours: move it away, or name another directory")

    def _fill(self, made: Path, content: dict[str, bytes]) -> None:
        """A generation, whole or not at all."""
        group = self._gid()
        draft = made.with_name(f"{made.name}.{os.getpid()}")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        for name, text in content.items():
            handle = os.open(draft / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(text)
                file.flush()
                os.fchown(file.fileno(), -1, group)
                os.fchmod(file.fileno(), (0o640 if self._group else 0o600) if name == KEY else 0o644)
                os.fsync(file.fileno())
        os.chown(draft, -1, group)
        draft.chmod(0o755)
        draft.rename(made)

    def _gid(self) -> int:
        if not self._group:
            return -1
        try:
            return int(self._group) if self._group.isdecimal() else grp.getgrnam(self._group).gr_gid
        except KeyError as error:
            raise ArtemonError(f'there is no group "{self._group}" on this machine') from error

    def _link(self, name: str, target: str) -> None:
        """Let a link lead there, at once."""
        link, draft = self._directory / name, self._directory / f"..{name}.new"
        if link.is_symlink() and str(link.readlink()) == target:
            return
        draft.unlink(missing_ok=True)
        draft.symlink_to(target)
        draft.replace(link)
