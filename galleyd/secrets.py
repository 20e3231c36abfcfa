"""Secrets: written in clear over TLS, kept encrypted, never shown again."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from artemon.errors import ArtemonError, Problem
from artemon.model.envelope import meta_problems
from artemon.model.kinds import SECRET
from artemon.model.secret import TYPES
from artemon.model.words import path_of
from artemon.pki.credential import credential_problems
from artemon.pki.sealing import Vault
from galleyd import protobuf, status
from galleyd.objects import HELD_KEYS, Object, Ref, meta_of, split

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""kubectl writes whole objects into it, Secrets in clear."""
_FIELDS = frozenset({"apiVersion", "kind", "metadata", "type", "data", "stringData", "immutable"})


@dataclass(frozen=True, slots=True)
class Secrets:
    """What is peculiar to writing Secrets; the rest is as with every object (`galleyd.edits`)."""

    vault: Vault

    def admit(self, ref: Ref, obj: Object, validation: str) -> tuple[Object, tuple[Problem, ...]]:
        """What is to be written of `obj`, its `data` decoded, and warnings. Raises ApiError."""
        found = [*meta_problems({**meta_of(obj), "name": ref.name, "namespace": ref.namespace})]
        unknown = [Problem(path_of((name,)), "unknown field") for name in sorted(obj.keys() - _FIELDS)]
        if validation == "Strict":
            found += unknown
        kind = TYPES.get(str(obj.get("type") or ""))
        if kind is None:
            found.append(Problem("type", f"must be kubernetes.io/tls or Opaque, not {str(obj['type'])[:64]}"))
        data = _data(obj, found)
        if data is not None and not any(problem.path.startswith("data") for problem in found):
            found += credential_problems(data, kind or "", now=datetime.now(UTC))
        causes = [status.cause_of(problem) for problem in found if problem.level == "error"]
        if causes:
            raise status.invalid(SECRET, ref.name, causes)
        meta, dropped = _metadata(ref, obj)
        whole = {"apiVersion": "v1", "kind": SECRET.name, "metadata": meta, "type": kind, "data": data}
        warned = [problem for problem in found if problem.level == "warning"]
        if obj.get("immutable"):
            warned.append(Problem("immutable", "is not kept here", "warning"))
        return whole, (*dropped, *warned)

    def created(self, obj: Object, *, uid: str, now: str) -> Object:
        """A new Secret, sealed. Raises ApiError."""
        meta = obj["metadata"]
        if obj["data"] is None:
            raise status.invalid(SECRET, meta["name"], [status.Cause("data", "is required")])
        return self._sealed(obj, {"uid": uid, "generation": 1, "creationTimestamp": now})

    def updated(self, before: Object, obj: Object) -> Object:
        """`obj` in the place of `before`, whose data it keeps when it has none. Raises ApiError."""
        old = before["metadata"]
        own = {name: old.get(name) for name in ("uid", "generation", "creationTimestamp")}
        if obj["data"] is None or obj["data"] == self._opened(before):
            return _ordered({**before, "metadata": {**obj["metadata"], **own}})
        return self._sealed(obj, {**own, "generation": int(own["generation"] or 0) + 1})

    def _sealed(self, obj: Object, own: Mapping[str, Any]) -> Object:
        meta, data = {**obj["metadata"], **own}, obj["data"]
        try:
            sealed = self.vault.seal(
                data, namespace=meta["namespace"], name=meta["name"], generation=meta["generation"]
            )
        except ArtemonError as error:
            raise status.invalid(SECRET, meta["name"], [status.Cause("data", str(error))]) from error
        return _ordered({**obj, "metadata": meta, "keys": sorted(data), "sealed": dict(sealed)})

    def _opened(self, stored: Object) -> dict[str, bytes] | None:
        """The data of a stored Secret; None when it cannot be read any more, and must be written anew."""
        meta = stored["metadata"]
        try:
            return self.vault.open(
                stored["sealed"],
                namespace=meta["namespace"],
                name=meta["name"],
                generation=meta["generation"],
            )
        except (ArtemonError, KeyError, TypeError):
            return None


def from_protobuf(content: bytes) -> Object:
    """The Secret in a protobuf body (`k8s.io.api.core.v1.Secret`). Raises ApiError 400."""
    whole = protobuf.raw(content)
    maps = {
        name: {key: value.decode("utf-8", "replace") for key, value in protobuf.entries(meta, number).items()}
        for meta in [protobuf.field(whole, 1)]
        for name, number in (("labels", 11), ("annotations", 12))
    }
    named = {"name": protobuf.text(whole, 1, 1), "namespace": protobuf.text(whole, 1, 3)}
    data = {key: base64.b64encode(value).decode() for key, value in protobuf.entries(whole, 2).items()}
    texts = {key: value.decode("utf-8", "replace") for key, value in protobuf.entries(whole, 4).items()}
    head = {"apiVersion": "v1", "kind": SECRET.name, "type": protobuf.text(whole, 3)}
    meta = {key: value for key, value in {**named, **maps}.items() if value}
    return {**head, "metadata": meta, "data": data, "stringData": texts}


def _metadata(ref: Ref, obj: Object) -> tuple[Object, list[Problem]]:
    kept, warnings = split({"metadata": meta_of(obj)})
    meta = {**kept["metadata"], "name": ref.name, "namespace": ref.namespace}
    annotations = {
        key: value
        for key, value in (meta.get("annotations") or {}).items()
        if key not in {LAST_APPLIED, HELD_KEYS}
    }
    meta["annotations"] = annotations
    return {key: value for key, value in meta.items() if value}, warnings


def _data(obj: Object, found: list[Problem]) -> dict[str, bytes] | None:
    """The data in clear; None when the object has none. Problems go to `found`; they quote no value."""
    data, texts = obj.get("data"), obj.get("stringData")
    if not data and not texts:
        return None
    out: dict[str, bytes] = {}
    for name, value in data.items() if isinstance(data, dict) else ():
        try:
            out[name] = base64.b64decode("".join(str(value).split()), validate=True)
        except binascii.Error:
            found.append(Problem(path_of(("data", name)), "must be base64 (or write it under stringData)"))
    for name, value in texts.items() if isinstance(texts, dict) else ():
        if isinstance(value, str):
            out[name] = value.encode()
        else:
            found.append(Problem(path_of(("stringData", name)), "must be text"))
    for field, given in (("data", data), ("stringData", texts)):
        if given and not isinstance(given, dict):
            found.append(Problem(field, "must be a mapping"))
    return out


def _ordered(obj: Object) -> Object:
    order = ("apiVersion", "kind", "metadata", "type", "keys", "sealed")
    return {key: obj[key] for key in order if key in obj}
