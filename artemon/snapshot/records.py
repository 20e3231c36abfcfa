"""Keys and values of the registry (below `artemon/<mesh>/`) to changes of the world."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from artemon.errors import ArtemonError, Problem, Refused
from artemon.model import kinds
from artemon.model.decode import decode, decode_mesh_config, load_json
from artemon.model.mesh_config import MeshConfig
from artemon.model.message import Message
from artemon.model.resource import Resource
from artemon.model.secret import SealedSecret, Secret, Unseal, read_sealed
from artemon.model.trust import BUNDLE, REVOKED, decode_trust
from artemon.model.workload import decode_workload
from artemon.snapshot.changes import Bad, Change, Delete, Object, Upsert

PREFIXES = ("config/", "mesh", "workloads/", "secrets/", BUNDLE, REVOKED)
"""What the world is made of."""


def config_key(resource: Resource[Message]) -> str:
    """The key of a user-written object."""
    return f"config/{resource.kind.collection}/{resource.meta.namespace}/{resource.meta.name}"


def upsert(resource: Resource[Message]) -> Upsert:
    """The change that brings `resource` in."""
    return Upsert(config_key(resource), resource)


Check = Callable[[Resource[Message]], Iterable[Problem]]
"""What is wrong with an object that decoded (`artemon.validate.problems`)."""


def no_key(_: SealedSecret) -> Mapping[str, bytes]:
    """Opens nothing."""
    raise ArtemonError("there is no key that opens it")


CheckMesh = Callable[[MeshConfig], Iterable[Problem]]
"""What is wrong with a MeshConfig that decoded (`artemon.validate.mesh_problems`)."""


def nothing_wrong(_: object) -> tuple[Problem, ...]:
    """A check that finds nothing."""
    return ()


def read(
    key: str,
    value: bytes | None,
    *,
    check: Check = nothing_wrong,
    check_mesh: CheckMesh = nothing_wrong,
    unseal: Unseal = no_key,
) -> Change | None:
    """What `key` having `value` (None: being gone) means; nothing for keys that are no part of the world.
    An object or MeshConfig in which its check finds an error is not used, nor is a Secret that `unseal`
    cannot open."""
    if not key.startswith(PREFIXES):
        return None
    if value is None:
        return Delete(key)
    try:
        if key == "mesh":
            return Upsert(key, _mesh(value, check_mesh))
        return Upsert(key, _object(key, value, check, unseal))
    except Refused as refusal:
        return Bad(key, refusal.problems)


def _object(key: str, value: bytes, check: Check, unseal: Unseal) -> Object:
    parts = key.split("/")
    if parts[0] == "workloads" and len(parts) == 4:
        return decode_workload(parts[1], value)
    if parts[0] == "trust":
        return decode_trust(key, value)
    if parts[0] == "secrets" and len(parts) == 3:
        return _secret(parts[1], parts[2], value, unseal)
    if parts[0] != "config" or len(parts) != 4 or kinds.by_collection(parts[1]) is None:
        raise Refused([Problem("", f"nothing is kept under the key {key}")])
    resource = decode(load_json(value), namespace=parts[2])
    if config_key(resource) != key:
        raise Refused([Problem("metadata", f"is of {config_key(resource)}, but kept under {key}")])
    _refuse_errors(check(resource), resource.ref)
    return resource


def _mesh(value: bytes, check: CheckMesh) -> MeshConfig:
    mesh = decode_mesh_config(load_json(value))
    _refuse_errors(check(mesh), "MeshConfig")
    return mesh


def _refuse_errors(found: Iterable[Problem], subject: str) -> None:
    errors = [problem for problem in found if problem.level == "error"]
    if errors:
        raise Refused(errors, subject)


def _secret(namespace: str, name: str, value: bytes, unseal: Unseal) -> Secret:
    sealed = read_sealed(load_json(value))
    if (sealed.namespace, sealed.name) != (namespace, name):
        raise Refused([Problem("metadata", "is of another Secret than the key says")])
    try:
        return sealed.secret(unseal(sealed))
    except ArtemonError as error:
        raise Refused([Problem("", f"cannot be opened: {error}")], f"Secret/{namespace}/{name}") from error
