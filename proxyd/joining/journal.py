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
    was made. name: of the proxy; each has a journal in the same directory."""

    directory: Path
    name: str = ""
    paths: list[str] = field(default_factory=list)
    trees: list[str] = field(default_factory=list)
    unit: str = ""
    pid: int = 0
    user: str = ""

    @classmethod
    def load(cls, directory: Path, name: str = "") -> Journal:
        """What is known; empty when nothing was joined. Raises ArtemonError when it cannot be read."""
        made = cls(directory, name)
        content = read_secret(made.file)
        if content is None:
            return made
        try:
            return cls(directory, name, **json.loads(content))
        except (ValueError, TypeError) as error:
            raise ArtemonError(f"{made.file}: is not readable ({error})") from error

    @property
    def file(self) -> Path:
        """Where it is."""
        return self.directory / (f"{self.name}.{FILE}" if self.name else FILE)

    def others(self) -> list[Journal]:
        """Those of the machine's other proxies."""
        found = [path for path in sorted(self.directory.glob(f"*{FILE}")) if path != self.file]
        return [
            Journal.load(self.directory, path.name.removesuffix(FILE).removesuffix(".")) for path in found
        ]

    def save(self) -> None:
        """Write it down before what it tells of is done."""
        make_private_dir(self.directory)
        values = {key: value for key, value in asdict(self).items() if key not in ("directory", "name")}
        write_secret(self.file, json.dumps(values, indent=1).encode())

    def undo_paths(self) -> list[str]:
        """Remove what was made; directories that others put something into stay, and are returned. Another
        proxy of the machine has them to remove then."""
        heir = next(iter(self.others()), None)
        self.file.unlink(missing_ok=True)
        shared = {str(self.directory)}
        trees = set(self.trees) - shared if heir else {*self.trees, *shared}
        kept = []
        for path in sorted(map(Path, self.paths), key=lambda one: -len(one.parts)):
            if path.is_dir() and not path.is_symlink():
                if str(path) in trees:
                    shutil.rmtree(path, ignore_errors=True)
                elif any(path.iterdir()):
                    kept.append(str(path))
                else:
                    path.rmdir()
            else:
                path.unlink(missing_ok=True)
        if heir:
            heir.paths = sorted({*heir.paths, *kept})
            heir.save()
        return kept
