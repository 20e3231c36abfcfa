"""What joining has made on this machine: exactly that is taken away again."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

from artemon.daemon.files import make_private_dir, read_secret, write_secret
from artemon.errors import ArtemonError

FILE = "joined.json"


@dataclass(slots=True)
class Journal:
    """paths: files and directories that were not there before. trees: those among them that are ours with all
    that is in them. unit: of systemd, that was enabled. pid: of proxyd, where no systemd runs it. user: that
    was made."""

    directory: Path
    paths: list[str] = field(default_factory=list)
    trees: list[str] = field(default_factory=list)
    unit: str = ""
    pid: int = 0
    user: str = ""

    @classmethod
    def load(cls, directory: Path) -> Journal:
        """What is known; empty when nothing was joined. Raises ArtemonError when it cannot be read."""
        content = read_secret(directory / FILE)
        if content is None:
            return cls(directory)
        try:
            return cls(directory, **json.loads(content))
        except (ValueError, TypeError) as error:
            raise ArtemonError(f"{directory / FILE}: is not readable ({error})") from error

    def save(self) -> None:
        """Write it down before what it tells of is done."""
        make_private_dir(self.directory)
        values = {key: value for key, value in asdict(self).items() if key != "directory"}
        write_secret(self.directory / FILE, json.dumps(values, indent=1).encode())

    def undo_paths(self) -> list[str]:
        """Remove what was made; directories that others put something into stay, and are returned."""
        kept = []
        for path in sorted(map(Path, self.paths), key=lambda one: -len(one.parts)):
            if path.is_dir() and not path.is_symlink():
                if str(path) in self.trees:
                    shutil.rmtree(path, ignore_errors=True)
                elif any(path.iterdir()):
                    kept.append(str(path))
                else:
                    path.rmdir()
            else:
                path.unlink(missing_ok=True)
        self.paths = kept
        return kept
