"""OpenAPI v3 schemas of the kinds, in the dialect Kubernetes clients read, and the columns `get` prints."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from artemon.model import kinds
from artemon.model.message import Message
from artemon.model.resource import Kind


@dataclass(frozen=True, slots=True)
class Column:
    """One printed column. path: JSONPath below the object (Kubernetes `additionalPrinterColumns`)."""

    name: str
    path: str
    type: str = "string"
    description: str = ""
    priority: int = 0


_AGE = Column(
    "Age",
    ".metadata.creationTimestamp",
    "date",
    "How long ago the object was created.",
)
_ACTION = Column("Action", ".spec.action", description="What is done with requests that match.")

_COLUMNS: dict[str, tuple[Column, ...]] = {
    kinds.ROLE_BINDING.name: (
        Column("Role", ".spec.role", description="What the subjects may do."),
        Column("Subjects", ".spec.subjects", description="Who has it."),
        _AGE,
    ),
    kinds.HOST_GRANT.name: (
        Column("Hosts", ".spec.hosts", description="Hosts that are lent."),
        Column("Namespaces", ".spec.namespaces", description="Who may route them."),
        _AGE,
    ),
    kinds.IDENTITY_GRANT.name: (
        Column("Attestor", ".spec.attestor", description="Who finds the facts out."),
        Column("Service Accounts", ".spec.serviceAccounts", description="Identities that are given."),
        _AGE,
    ),
    kinds.VIRTUAL_SERVICE.name: (
        Column("Gateways", ".spec.gateways", description="Gateways and sidecars that apply these routes."),
        Column("Hosts", ".spec.hosts", description="Destination hosts that requests are sent to."),
        _AGE,
    ),
    kinds.DESTINATION_RULE.name: (
        Column("Host", ".spec.host", description="The service the rule is for."),
        _AGE,
    ),
    kinds.SERVICE_ENTRY.name: (
        Column("Hosts", ".spec.hosts", description="The hosts of the service."),
        Column("Location", ".spec.location", description="Inside the mesh or outside of it."),
        Column("Resolution", ".spec.resolution", description="How instances are found."),
        _AGE,
    ),
    kinds.WORKLOAD_ENTRY.name: (
        _AGE,
        Column("Address", ".spec.address", description="Where the instance is."),
    ),
    kinds.PEER_AUTHENTICATION.name: (
        Column("Mode", ".spec.mtls.mode", description="What the server side accepts."),
        _AGE,
    ),
    kinds.AUTHORIZATION_POLICY.name: (_ACTION, _AGE),
    kinds.RULE.name: (
        Column("Match", ".spec.match", description="The requests that it is about."),
        _AGE,
    ),
    kinds.HANDLER.name: (Column("Adapter", ".spec.compiledAdapter", description="What handles."), _AGE),
    kinds.INSTANCE.name: (Column("Template", ".spec.compiledTemplate", description="Its shape."), _AGE),
}


def columns(kind: Kind) -> tuple[Column, ...]:
    """What `kubectl get` shows of a kind after its name."""
    return _COLUMNS.get(kind.unique, (_AGE,))


@cache
def spec_schema(model: type[Message]) -> dict[str, Any]:
    """The schema of a spec with every reference put in place; callers must not change it."""
    document = model.model_json_schema(by_alias=True)
    definitions = document.pop("$defs", {})
    schema: dict[str, Any] = _plain(document, definitions)
    return schema


def object_schema(kind: Kind, version: str, *, metadata_ref: str) -> dict[str, Any]:
    """The schema of a whole object; `metadata_ref` names ObjectMeta, which clients want by reference."""
    schema: dict[str, Any] = {
        "type": "object",
        "description": _first_line(kind.spec),
        "properties": {
            "apiVersion": {"type": "string", "description": f"{kind.group}/{version}"},
            "kind": {"type": "string", "description": kind.name},
            "metadata": {"allOf": [{"$ref": metadata_ref}], "default": {}, "description": "Object metadata."},
            "spec": spec_schema(kind.spec),
            "status": {
                "type": "object",
                "description": "What the mesh made of it.",
                "x-kubernetes-preserve-unknown-fields": True,
            },
        },
        "x-kubernetes-group-version-kind": [{"group": kind.group, "version": version, "kind": kind.name}],
    }
    if kind.spec.required:
        schema["required"] = ["spec"]
    return schema


def _first_line(model: type[Message]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


_DROPPED = {"title", "default", "$defs", "exclusiveMinimum", "exclusiveMaximum"}
_LIMITS = {"minimum", "maximum"}


def _plain(node: Any, definitions: dict[str, Any]) -> Any:
    """`node` without what structural schemas may not have: references, titles, null alternatives."""
    if isinstance(node, list):
        return [_plain(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = definitions[node["$ref"].rpartition("/")[2]]
        return _plain({**target, **{key: value for key, value in node.items() if key != "$ref"}}, definitions)
    if "anyOf" in node:
        return _optional(node, definitions)
    plain = {key: _member(key, value, definitions) for key, value in node.items() if key not in _DROPPED}
    further = plain.get("additionalProperties")
    if isinstance(further, bool):
        del plain["additionalProperties"]
    if further is True or plain == {"type": "object"}:
        plain["x-kubernetes-preserve-unknown-fields"] = True
    if plain.get("type") == "integer" and plain.get("maximum", 0) > 2**53:
        plain = {key: value for key, value in plain.items() if key not in _LIMITS} | {"minimum": 0}
    return plain


def _member(key: str, value: Any, definitions: dict[str, Any]) -> Any:
    if key == "properties":
        return {name: _plain(item, definitions) for name, item in value.items()}
    return _plain(value, definitions)


def _optional(node: dict[str, Any], definitions: dict[str, Any]) -> Any:
    """`X | None` as X: what is not written is left out, not null."""
    choices = [item for item in node["anyOf"] if item.get("type") != "null"]
    rest = {key: value for key, value in node.items() if key not in {"anyOf", "default"}}
    plain = _plain({**choices[0], **rest}, definitions)
    if choices[0].get("type") in {"boolean", "integer", "number"}:
        plain["nullable"] = True
    return plain
