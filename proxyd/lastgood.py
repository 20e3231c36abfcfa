"""The configuration that Envoy accepted last, on disk: what Envoy starts from when nobody answers.

The file is one line (format and SHA-256 of the rest), then JSON. It may hold keys of gateways: 0600.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from artemon.daemon.files import read_secret, write_secret
from artemon.errors import ArtemonError
from artemon.log import Log
from artemon.xds.resource import Resource
from artemon.xds.types import CLUSTER, LISTENER, NAMES, SECRET, START
from proxyd.secrets import ROOTS
from proxyd.settings import ProxydSettings
from proxyd.view import View

FILE = "last-good.json"
_FORMAT = "artemon-last-good-1"

Good = Mapping[str, Mapping[str, Resource]]


class Corrupt(ArtemonError):
    """A file that is not what was written."""


def encode(node: str, good: Good, *, saved: datetime) -> bytes:
    """The file's content. node: whom it is for."""
    types = {
        url: {name: [item.version, base64.b64encode(item.body).decode()] for name, item in named.items()}
        for url, named in good.items()
        if named
    }
    body = json.dumps({"node": node, "saved": saved.isoformat(), "types": types}).encode()
    return f"{_FORMAT} {hashlib.sha256(body).hexdigest()}\n".encode() + body


def decode(data: bytes) -> tuple[str, dict[str, dict[str, Resource]]]:
    """Whom the file is for, and the resources by type and name. Raises Corrupt."""
    head, _, body = data.partition(b"\n")
    if head != f"{_FORMAT} {hashlib.sha256(body).hexdigest()}".encode():
        raise Corrupt("its checksum is wrong")
    try:
        content = json.loads(body)
        good = {
            url: {
                name: Resource(name, url, version, base64.b64decode(text, validate=True))
                for name, (version, text) in named.items()
            }
            for url, named in content["types"].items()
        }
        return str(content["node"]), good
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Corrupt(f"it cannot be understood: {error!r}") from error


def load(path: Path, node: str, log: Log) -> dict[str, dict[str, Resource]]:
    """What was good for `node`; nothing when there is none. A corrupt file is set aside with an alarm."""
    try:
        data = read_secret(path)
    except ArtemonError as error:
        log.error("last-good configuration cannot be read", reason=str(error))
        return {}
    if data is None:
        return {}
    try:
        owner, good = decode(data)
    except Corrupt as error:
        aside = path.with_suffix(".corrupt")
        path.replace(aside)
        log.error("last-good configuration is corrupt", file=str(path), reason=str(error), aside=str(aside))
        return {}
    if owner != node:
        log.warning("last-good configuration is of another node", file=str(path), node=owner)
        return {}
    log.info("last-good configuration loaded", resources=sum(len(named) for named in good.values()))
    return good


def save(path: Path, node: str, good: Good, *, now: datetime | None = None) -> None:
    """Write it whole. Raises ArtemonError."""
    write_secret(path, encode(node, good, saved=now or datetime.now(UTC)))


def initial_view(settings: ProxydSettings, good: Good) -> View:
    """The view to begin with, from what was good before."""
    own = (START, NAMES) if settings.dns_listen else (START,)
    good = {url: named for url, named in good.items() if url != NAMES or NAMES in own}
    never_empty = (CLUSTER, LISTENER) if settings.type == "sidecar" else (CLUSTER,)
    return View(good, never_empty=never_empty, own=own, pinned={SECRET: frozenset({ROOTS})})
