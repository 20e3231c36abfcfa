"""Keys and values of the registry (below `artemon/<mesh>/`) to changes of the world."""

from __future__ import annotations

from pydantic import ValidationError

from artemon.errors import Problem, Refused
from artemon.model import kinds
from artemon.model.decode import decode, load_json
from artemon.model.mesh_config import MeshConfig
from artemon.model.message import Message
from artemon.model.resource import Resource
from artemon.model.words import describe, path_of
from artemon.model.workload import decode_workload
from artemon.snapshot.changes import Bad, Change, Delete, Object, Upsert

PREFIXES = ("config/", "mesh", "workloads/")
"""What the world is made of."""


def config_key(resource: Resource[Message]) -> str:
    """The key of a user-written object."""
    return f"config/{resource.kind.plural}/{resource.meta.namespace}/{resource.meta.name}"


def upsert(resource: Resource[Message]) -> Upsert:
    """The change that brings `resource` in."""
    return Upsert(config_key(resource), resource)


def read(key: str, value: bytes | None) -> Change | None:
    """What `key` having `value` (None: being gone) means; nothing for keys that are no part of the world."""
    if not key.startswith(PREFIXES):
        return None
    if value is None:
        return Delete(key)
    try:
        return Upsert(key, _object(key, value))
    except Refused as refusal:
        return Bad(key, refusal.problems)


def _object(key: str, value: bytes) -> Object:
    parts = key.split("/")
    if parts[0] == "workloads" and len(parts) == 4:
        return decode_workload(parts[1], value)
    if key == "mesh":
        return _mesh(value)
    if parts[0] != "config" or len(parts) != 4 or kinds.by_plural(parts[1]) is None:
        raise Refused([Problem("", f"nothing is kept under the key {key}")])
    resource = decode(load_json(value), namespace=parts[2])
    if config_key(resource) != key:
        raise Refused([Problem("metadata", f"is of {config_key(resource)}, but kept under {key}")])
    return resource


def _mesh(value: bytes) -> MeshConfig:
    try:
        return MeshConfig.model_validate(load_json(value))
    except ValidationError as error:
        raise Refused(
            [Problem(path_of(item["loc"]), describe(item)) for item in error.errors()], "MeshConfig"
        ) from error
