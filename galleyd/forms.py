"""In which form an answer is given: whole objects, only their metadata, or a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from artemon.model.resource import Kind
from galleyd.objects import Object, Stored, shown
from galleyd.table import Table

_FORMS = {
    "Table": "Table",
    "PartialObjectMetadata": "Partial",
    "PartialObjectMetadataList": "Partial",
}


def asked_form(accept: str) -> str:
    """`Table`, `Partial` or `` (whole objects): the first of the client's wishes that is known here."""
    for wish in accept.split(","):
        media, *parameters = (part.strip() for part in wish.split(";"))
        wanted = dict(part.partition("=")[::2] for part in parameters)
        if media not in {"application/json", "*/*", "application/*"}:
            continue
        if "as" not in wanted:
            return ""
        if wanted["as"] in _FORMS and wanted.get("v", "v1") == "v1":
            return _FORMS[wanted["as"]]
    return ""


@dataclass(frozen=True, slots=True)
class Form:
    """How objects of one kind are shown to one client. include: includeObject of a table."""

    kind: Kind
    api_version: str
    table: Table
    name: str = ""
    include: str = ""

    def one(self, stored: Stored, *, header: bool = True) -> Object:
        """One object. header: whether a table names its columns."""
        whole = shown(stored, self.api_version)
        if self.name == "Partial":
            return _partial(whole)
        if self.name == "Table":
            columns = self.table.columns(self.kind) if header else []
            version = str(stored.version)
            return _table(columns, [self._row(whole)], {"resourceVersion": version})
        return whole

    def many(self, items: Sequence[Stored], meta: Object) -> Object:
        """A list. meta: its resourceVersion, and continue where there is more."""
        wholes = [shown(item, self.api_version) for item in items]
        if self.name == "Table":
            return _table(self.table.columns(self.kind), [self._row(whole) for whole in wholes], meta)
        if self.name == "Partial":
            head = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
            return {**head, "metadata": meta, "items": [_partial(whole) for whole in wholes]}
        head = {"apiVersion": self.api_version, "kind": f"{self.kind.name}List"}
        return {**head, "metadata": meta, "items": wholes}

    def bookmark(self, revision: int, *, initial: bool) -> Object:
        """An object that tells nothing but a revision; `initial`: that all objects have been told."""
        meta: Object = {"resourceVersion": str(revision), "creationTimestamp": None}
        if initial:
            meta["annotations"] = {"k8s.io/initial-events-end": "true"}
        if self.name == "Table":
            row = {"cells": [], "object": _partial({"metadata": meta})}
            return _table([], [row], {"resourceVersion": str(revision)})
        head = {"kind": self.kind.name, "apiVersion": self.api_version}
        return _partial({"metadata": meta}) if self.name == "Partial" else {**head, "metadata": meta}

    def _row(self, whole: Object) -> Object:
        shown_object = {"Object": whole, "None": None}.get(self.include, _partial(whole))
        row: Object = {"cells": self.table.cells(self.kind, whole)}
        return {**row, "object": shown_object} if shown_object is not None else row


def _partial(whole: Object) -> Object:
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": whole["metadata"],
    }


def _table(columns: list[Any], rows: list[Object], meta: Object) -> Object:
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta,
        "columnDefinitions": columns,
        "rows": rows,
    }
