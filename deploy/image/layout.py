"""An OCI image layout (image-spec 1.1) in one tar file, the same bytes for the same content."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
Owner = Callable[[str], int]
"""Path within the image -> user and group of it."""


@dataclass(slots=True)
class Layer:
    """One layer as it is stored. diff: digest of what is unpacked."""

    content: bytes
    diff: str
    media: str
    comment: str


@dataclass(slots=True)
class Image:
    """An image in the making. epoch: seconds of every time in it."""

    architecture: str
    epoch: int
    config: dict[str, Any]
    annotations: dict[str, str]
    compress: bool = True
    layers: list[Layer] = field(default_factory=list)

    def add(self, root: Path, paths: Iterable[Path], comment: str, owner: Owner) -> None:
        """One more layer: `paths`, which lie below `root`."""
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for path in sorted(paths):
                self._member(archive, path, path.relative_to(root).as_posix(), owner)
        content = out.getvalue()
        diff = digest(content)
        packed = gzip.compress(content, 9, mtime=0) if self.compress else content
        media = f"{LAYER}+gzip" if self.compress else LAYER
        self.layers.append(Layer(packed, diff, media, comment))

    def _member(self, archive: tarfile.TarFile, path: Path, name: str, owner: Owner) -> None:
        info = archive.gettarinfo(path, arcname=name)
        info.uid = info.gid = owner(name)
        info.uname = info.gname = ""
        info.mtime = self.epoch
        if info.isreg():
            with path.open("rb") as file:
                archive.addfile(info, file)
        else:
            archive.addfile(info)

    def write(self, file: Path, tag: str) -> str:
        """The layout as a tar; the digest of the image."""
        created = datetime.fromtimestamp(self.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        history = [{"created": created, "comment": one.comment} for one in self.layers]
        config = _json(
            {
                "created": created,
                "architecture": self.architecture,
                "os": "linux",
                "config": self.config,
                "rootfs": {"type": "layers", "diff_ids": [one.diff for one in self.layers]},
                "history": history,
            }
        )
        manifest = _json(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": _descriptor(config, CONFIG),
                "layers": [_descriptor(one.content, one.media) for one in self.layers],
                "annotations": self.annotations,
            }
        )
        entry = _descriptor(manifest, MANIFEST) | {
            "platform": {"architecture": self.architecture, "os": "linux"},
            "annotations": {"org.opencontainers.image.ref.name": tag},
        }
        index = _json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]})
        blobs = [config, manifest, *(one.content for one in self.layers)]
        named = {f"blobs/sha256/{digest(one).partition(':')[2]}": one for one in blobs}
        files = {"oci-layout": _json({"imageLayoutVersion": "1.0.0"}), "index.json": index, **named}
        self._pack(file, files)
        return digest(manifest)

    def _pack(self, file: Path, files: dict[str, bytes]) -> None:
        with tarfile.open(file, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for folder in ("blobs", "blobs/sha256"):
                entry = tarfile.TarInfo(folder)
                entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o755, self.epoch
                archive.addfile(entry)
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size, info.mtime = len(content), self.epoch
                archive.addfile(info, io.BytesIO(content))


def digest(content: bytes) -> str:
    """Of a blob."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _descriptor(content: bytes, media: str) -> dict[str, Any]:
    return {"mediaType": media, "digest": digest(content), "size": len(content)}
