"""Key sets on disk, so that a restart finds them although their issuers are away."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from artemon.daemon.files import make_private_dir, read_public, write_public
from artemon.errors import ArtemonError


class SavedKeys:
    """One file a source. folder: None keeps nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def load(self) -> Iterator[tuple[str, str, float]]:
        """Source, text and when it was fetched; what cannot be read is passed over."""
        if self._folder is None or not self._folder.is_dir():
            return
        for path in sorted(self._folder.glob("*.json")):
            try:
                found = json.loads(read_public(path) or b"null")
                yield str(found["source"]), str(found["text"]), float(found["at"])
            except (ArtemonError, ValueError, KeyError, TypeError):
                continue

    def save(self, source: str, text: str, at: float) -> None:
        """Keep one. Raises ArtemonError."""
        if self._folder is not None:
            make_private_dir(self._folder)
            content = json.dumps({"source": source, "text": text, "at": at})
            write_public(self._file(source, self._folder), content.encode())

    def forget(self, source: str) -> None:
        """Drop one."""
        if self._folder is not None:
            self._file(source, self._folder).unlink(missing_ok=True)

    def _file(self, source: str, folder: Path) -> Path:
        return folder / f"{hashlib.sha256(source.encode()).hexdigest()}.json"
