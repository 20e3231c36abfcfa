"""The plug-in on a node: put there, kept right, and taken out again."""

from __future__ import annotations

import base64
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from artemon.daemon.files import read_public, write_public, write_secret
from artemon.errors import ArtemonError
from artemon.kube.access import Access
from proxyd.cni import chain, copy

KUBECONFIG: Final = "artemon.kubeconfig"
SET_ASIDE: Final = ".before-artemon"
"""Behind the name of a configuration of one plug-in, in whose place a list was put."""


@dataclass(frozen=True, slots=True)
class Node:
    """Where things are, by the same paths as on the node. tree: of the copies of what runs the plug-in.
    excluded: namespaces whose pods are left alone. release: names the copy; "" for our code as it is. copies:
    makes a copy in a directory, for another."""

    bin_dir: Path
    conf_dir: Path
    tree: Path
    excluded: tuple[str, ...] = ()
    release: str = ""
    copies: Callable[[Path, Path], None] = copy.make

    @property
    def plugin(self) -> Path:
        """The program that runtimes start."""
        return self.bin_dir / chain.TYPE

    @property
    def kubeconfig(self) -> Path:
        """By which it asks about pods."""
        return self.conf_dir / KUBECONFIG

    def put(self, access: Access) -> list[str]:
        """Make everything as it must be, the configuration last; what was changed. Raises ArtemonError."""
        try:
            return [*self._put_program(), *self._put_access(access), *self._chain()]
        except (OSError, shutil.Error) as error:
            raise ArtemonError(f"the node cannot be set up: {error}") from error

    def is_complete(self) -> bool:
        """Whether a pod that starts now is set up."""
        name = self._first()
        text = read_public(self.conf_dir / name) if name else None
        return self.plugin.is_file() and self.kubeconfig.is_file() and chain.has_ours((text or b"").decode())

    def take_out(self) -> list[str]:
        """The other way round: first the configuration, so that nobody starts what is not there any more.
        Raises ArtemonError."""
        done = [*self._unchain()]
        try:
            for path in (self.kubeconfig, self.plugin):
                if path.exists():
                    path.unlink()
                    done.append(f"{path} removed")
            for each in self.tree.iterdir() if self.tree.is_dir() else ():
                shutil.rmtree(each)
        except OSError as error:
            raise ArtemonError(f"not everything could be taken out: {error}") from error
        return done

    def _put_program(self) -> Iterator[str]:
        """A copy of its own for each release, then the launcher that starts it, then away with older ones."""
        whole = self.tree / (self.release or copy.fingerprint())
        if not whole.is_dir():
            self.tree.mkdir(parents=True, exist_ok=True)
            fresh = Path(tempfile.mkdtemp(prefix="new-", dir=self.tree))
            fresh.chmod(0o755)
            self.copies(fresh, whole)
            fresh.rename(whole)
            yield f"{whole} copied"
        text = copy.PLUGIN.format(tree=whole).encode()
        if read_public(self.plugin) != text or not os.access(self.plugin, os.X_OK):
            self._launch(text)
            yield f"{self.plugin} written"
        for old in self.tree.iterdir():
            if old != whole:
                shutil.rmtree(old)

    def _launch(self, text: bytes) -> None:
        self.bin_dir.mkdir(parents=True, exist_ok=True)
        fresh = self.bin_dir / f".{chain.TYPE}.new"
        fresh.write_bytes(text)
        fresh.chmod(0o755)
        fresh.replace(self.plugin)

    def _put_access(self, access: Access) -> Iterator[str]:
        text = json.dumps(_kubeconfig(access), indent=2).encode() + b"\n"
        if read_public(self.kubeconfig) != text:
            write_secret(self.kubeconfig, text)
            yield f"{self.kubeconfig} written"

    def _chain(self) -> Iterator[str]:
        """Behind the plug-ins of the configuration that counts."""
        name = self._first()
        if not name:
            raise ArtemonError(f"{self.conf_dir}: there is no network configuration yet; it is waited for")
        file = self.conf_dir / name
        text = (read_public(file) or b"").decode()
        told: dict[str, Any] = {"kubeconfig": str(self.kubeconfig)}
        if self.excluded:
            told["excludeNamespaces"] = list(self.excluded)
        try:
            wanted = chain.chained(text, {"type": chain.TYPE, "kubernetes": told})
            single = not chain.is_list(text)
        except ArtemonError as error:
            raise ArtemonError(f"{file}: {error}") from error
        if wanted == text:
            return
        target = file.with_suffix(".conflist") if single else file
        write_public(target, wanted.encode())
        if single:
            file.replace(file.with_name(file.name + SET_ASIDE))
        yield f"{target} has {chain.TYPE}"

    def _unchain(self) -> Iterator[str]:
        for file in sorted(self.conf_dir.iterdir()) if self.conf_dir.is_dir() else ():
            if not file.name.endswith(chain.SUFFIXES):
                continue
            text = (read_public(file) or b"").decode(errors="replace")
            if not chain.has_ours(text):
                continue
            aside = file.with_name(file.stem + ".conf" + SET_ASIDE)
            if aside.exists():
                aside.replace(file.with_suffix(".conf"))
                file.unlink()
            else:
                write_public(file, chain.without(text).encode())
            yield f"{file} is without {chain.TYPE}"

    def _first(self) -> str:
        return chain.first(one.name for one in self.conf_dir.iterdir()) if self.conf_dir.is_dir() else ""


def _kubeconfig(access: Access) -> dict[str, Any]:
    authority = base64.b64encode(access.ca.encode()).decode()
    cluster = {"server": access.server, "certificate-authority-data": authority}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "node",
        "clusters": [{"name": "node", "cluster": cluster}],
        "users": [{"name": "node", "user": {"token": access.token}}],
        "contexts": [{"name": "node", "context": {"cluster": "node", "user": "node"}}],
    }
