"""OpenAPI v3: an index, and one document per group and version, made once."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from artemon import __version__
from artemon.model.kinds import SECRET
from artemon.model.resource import Kind
from artemon.model.schema import object_schema
from galleyd import catalog

_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_META_REF = f"#/components/schemas/{_META}"
_TEXT = {"type": "string"}
_TEXTS = {"type": "object", "additionalProperties": {"type": "string", "default": ""}}
_TIME = {"type": "string", "format": "date-time"}

_OBJECT_META: dict[str, Any] = {
    "type": "object",
    "description": "What every object has beside its content.",
    "properties": {
        "name": {**_TEXT, "description": "Unique within the kind and namespace; cannot be changed."},
        "generateName": {**_TEXT, "description": "Beginning of a name that the server makes unique."},
        "namespace": {**_TEXT, "description": "Where the object lives; cannot be changed."},
        "labels": {**_TEXTS, "description": "Keys and values that objects are selected by."},
        "annotations": {**_TEXTS, "description": "Keys and values that tools keep with the object."},
        "uid": {**_TEXT, "description": "Tells objects of the same name apart; set by the server."},
        "resourceVersion": {**_TEXT, "description": "The registry's revision of the last write."},
        "generation": {
            "type": "integer",
            "format": "int64",
            "description": "Grows with each change of spec.",
        },
        "creationTimestamp": {**_TIME, "description": "When the object was made."},
    },
}

_QUERY = ("dryRun", "fieldManager", "fieldValidation", "pretty")
_VERBS = {
    "collection": {"get": "list", "post": "post"},
    "item": {"get": "get", "put": "put", "patch": "patch", "delete": "delete"},
}


_SECRET: dict[str, Any] = {
    "type": "object",
    "description": "A certificate and key of gateways; its data is written and never shown.",
    "properties": {
        "apiVersion": _TEXT,
        "kind": _TEXT,
        "metadata": {"allOf": [{"$ref": _META_REF}], "default": {}, "description": "Object metadata."},
        "type": {**_TEXT, "description": "kubernetes.io/tls or Opaque."},
        "data": {**_TEXTS, "description": "tls.crt, tls.key, ca.crt, ca.crl: PEM in base64."},
        "stringData": {**_TEXTS, "description": "The same in clear."},
        "immutable": {"type": "boolean", "description": "Not kept here."},
    },
    "x-kubernetes-group-version-kind": [{"group": "", "version": "v1", "kind": SECRET.name}],
}


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it is sent. etag: changes with its content."""

    content: bytes
    etag: str


@cache
def document(group: str, version: str) -> Document | None:
    """The document of one group and version; None when there is none."""
    kinds = catalog.kinds_of(group, version)
    if not kinds:
        return None
    schemas = {_META: _OBJECT_META}
    paths: dict[str, Any] = {}
    for kind in kinds:
        made = _SECRET if kind is SECRET else object_schema(kind, version, metadata_ref=_META_REF)
        schemas[_name(kind, version)] = made
        paths |= _paths(kind, version)
    return _document(
        {
            "openapi": "3.0.0",
            "info": {"title": f"Artemon {group}/{version}", "version": __version__},
            "paths": paths,
            "components": {"schemas": schemas},
        }
    )


@cache
def index() -> Document:
    """`/openapi/v3`: where the documents are."""
    paths = {}
    for group, versions in {"": ("v1",), **catalog.group_versions()}.items():
        for version in versions:
            found = document(group, version)
            if found:
                path = _root(group, version)
                paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={found.etag}"}
    return _document({"paths": paths})


def _document(value: Any) -> Document:
    content = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    return Document(content, hashlib.sha256(content).hexdigest()[:32].upper())


def _root(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def _name(kind: Kind, version: str) -> str:
    if not kind.group:
        return f"io.k8s.api.core.{version}.{kind.name}"
    return ".".join([*reversed(kind.group.split(".")), version, kind.name])


def _paths(kind: Kind, version: str) -> dict[str, Any]:
    root = _root(kind.group, version)
    everywhere = f"/{root}/{kind.plural}"
    within = f"/{root}/namespaces/{{namespace}}/{kind.plural}"
    return {
        everywhere: {"get": _operation(kind, version, "list")},
        within: _operations(kind, version, "collection"),
        f"{within}/{{name}}": _operations(kind, version, "item"),
    }


def _operations(kind: Kind, version: str, path: str) -> dict[str, Any]:
    return {method: _operation(kind, version, action) for method, action in _VERBS[path].items()}


def _operation(kind: Kind, version: str, action: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{_name(kind, version)}"}}}
    return {
        "operationId": f"{action}{kind.name}",
        "parameters": [{"name": name, "in": "query", "schema": _TEXT} for name in _QUERY],
        "responses": {"200": {"description": "OK", "content": content}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": {"group": kind.group, "version": version, "kind": kind.name},
    }
