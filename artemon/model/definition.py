"""CustomResourceDefinitions of the kinds, for clusters.

The schema, names and columns that galleyd's API shows too.
"""

from __future__ import annotations

from typing import Any

from artemon.model.resource import Kind
from artemon.model.schema import Column, columns, spec_schema

PART_OF, OURS = "app.kubernetes.io/part-of", "artemon"
"""Label of what was installed for this mesh."""


def definition(kind: Kind) -> dict[str, Any]:
    """The CustomResourceDefinition of one kind (apiextensions.k8s.io/v1): every accepted version is served,
    the preferred one stored; they differ in nothing but their names."""
    family, protected = kind.group.partition(".")[0], kind.group.endswith(".k8s.io")
    notes = {"annotations": {"api-approved.kubernetes.io": "unapproved, the part of it that is read"}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.plural}.{kind.group}",
            "labels": {PART_OF: OURS},
            **(notes if protected else {}),
        },
        "spec": {
            "group": kind.group,
            "scope": "Cluster" if kind.cluster_wide else "Namespaced",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": [name for name in kind.short_names if name not in {kind.plural, kind.singular}],
                "categories": ["gateway-api"] if protected else ["istio-io", f"{family}-istio-io"],
            },
            "versions": [
                _version(kind, version, stored=version == kind.versions[0]) for version in kind.versions
            ],
        },
    }


def _version(kind: Kind, name: str, *, stored: bool) -> dict[str, Any]:
    status = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"spec": spec_schema(kind.spec), "status": status},
    }
    if kind.spec.required:
        schema["required"] = ["spec"]
    return {
        "name": name,
        "served": True,
        "storage": stored,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(column) for column in columns(kind)],
    }


def _column(column: Column) -> dict[str, Any]:
    found: dict[str, Any] = {"name": column.name, "type": column.type, "jsonPath": column.path}
    if column.description:
        found["description"] = column.description
    return {**found, "priority": column.priority} if column.priority else found
