"""Object metadata by Kubernetes' rules ("Object Names and IDs", "Labels and Selectors", "Annotations")."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from artemon.errors import Problem
from artemon.model.resource import Meta
from artemon.model.words import kind_of, path_of

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DNS_LABEL = re.compile(_LABEL)
_SUBDOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_ANNOTATION_BYTES = 256 * 1024

_TEXT = {"name", "generateName", "namespace", "uid", "resourceVersion", "creationTimestamp", "selfLink"}
_OTHER = {"managedFields", "finalizers", "ownerReferences", "deletionTimestamp", "deletionGracePeriodSeconds"}
_FIELDS = sorted(_TEXT | _OTHER | {"labels", "annotations", "generation"})
_READ = {
    "name",
    "namespace",
    "labels",
    "annotations",
    "uid",
    "creationTimestamp",
    "generation",
    "resourceVersion",
}


def is_dns_label(text: str) -> bool:
    """Whether `text` is a DNS-1123 label: lower case, digits and `-`, at most 63 characters."""
    return len(text) <= 63 and _DNS_LABEL.fullmatch(text) is not None


def is_subdomain(text: str) -> bool:
    """Whether `text` is a DNS-1123 subdomain: labels with dots, at most 253 characters."""
    return len(text) <= 253 and _SUBDOMAIN.fullmatch(text) is not None


def is_qualified_name(text: str) -> bool:
    """Whether `text` may be a label's or annotation's key: `[prefix/]name`."""
    prefix, slash, name = text.rpartition("/")
    prefix_fits = is_subdomain(prefix) if slash else True
    return prefix_fits and len(name) <= 63 and _QUALIFIED.fullmatch(name) is not None


def is_label_value(text: str) -> bool:
    """Whether `text` may be a label's value; empty is fine."""
    return not text or (len(text) <= 63 and _QUALIFIED.fullmatch(text) is not None)


def meta_problems(meta: Any) -> Iterator[Problem]:
    """What is wrong with an object's `metadata`."""
    if not isinstance(meta, dict):
        why = "is required" if meta is None else f"must be a mapping, not {kind_of(meta)}"
        yield Problem("metadata", why)
        return
    for key, value in meta.items():
        path = path_of((key,), "metadata")
        if key not in _FIELDS:
            near = difflib.get_close_matches(key, _FIELDS, 1)
            yield Problem(path, "unknown field" + (f' (did you mean "{near[0]}"?)' if near else ""))
        elif key in _TEXT and value is not None and not isinstance(value, str):
            yield Problem(path, f"must be text (put it in quotes), not {kind_of(value)}")
    generation = meta.get("generation")
    if generation is not None and (not isinstance(generation, int) or isinstance(generation, bool)):
        yield Problem("metadata.generation", f"must be a whole number, not {kind_of(generation)}")
    yield from _names(meta)
    yield from _map(meta, "labels", values=True)
    yield from _map(meta, "annotations", values=False)


def _names(meta: Mapping[str, Any]) -> Iterator[Problem]:
    name, namespace = meta.get("name"), meta.get("namespace")
    if name in (None, ""):
        yield Problem("metadata.name", "is required")
    elif isinstance(name, str) and not is_subdomain(name):
        yield Problem(
            "metadata.name", f'"{name}" must be lower case letters, digits, "-" or "." (a DNS-1123 subdomain)'
        )
    if isinstance(namespace, str) and namespace and not is_dns_label(namespace):
        yield Problem(
            "metadata.namespace",
            f'"{namespace}" must be lower case letters, digits or "-" (a DNS-1123 label)',
        )


def _map(meta: Mapping[str, Any], name: str, *, values: bool) -> Iterator[Problem]:
    """What is wrong with labels (whose values are checked) or annotations."""
    entries, root = meta.get(name), f"metadata.{name}"
    if entries is None:
        return
    if not isinstance(entries, dict):
        yield Problem(root, f"must be a mapping, not {kind_of(entries)}")
        return
    for key, value in entries.items():
        path = path_of((key,), root)
        if not is_qualified_name(key):
            yield Problem(path, f'key "{key}" must be [prefix/]name of letters, digits, "-", "_" and "."')
        if not isinstance(value, str):
            yield Problem(path, f"must be text (put it in quotes), not {kind_of(value)}")
        elif values and not is_label_value(value):
            yield Problem(
                path,
                f'"{value}" must have at most 63 letters, digits, "-", "_" or ".", no sign at either end',
            )
    if sum(len(str(key)) + len(str(value)) for key, value in entries.items()) > _ANNOTATION_BYTES:
        yield Problem(root, "have more than 256 KiB together")


def read_meta(meta: Mapping[str, Any], namespace: str) -> Meta:
    """`meta`, which has no problems, as a value; `namespace` where it names none."""
    return Meta(
        name=meta["name"],
        namespace=meta.get("namespace") or namespace,
        labels=dict(meta.get("labels") or {}),
        annotations=dict(meta.get("annotations") or {}),
        uid=meta.get("uid") or "",
        created=meta.get("creationTimestamp") or "",
        generation=meta.get("generation") or 0,
        resource_version=meta.get("resourceVersion") or "",
        other={key: value for key, value in meta.items() if key not in _READ},
    )


def write_meta(meta: Meta) -> dict[str, Any]:
    """`meta` as the API shows it; what is empty is left out."""
    fields = {
        "name": meta.name,
        "namespace": meta.namespace,
        "labels": dict(meta.labels),
        "annotations": dict(meta.annotations),
        "uid": meta.uid,
        "creationTimestamp": meta.created,
        "generation": meta.generation,
        "resourceVersion": meta.resource_version,
        **meta.other,
    }
    return {key: value for key, value in fields.items() if value or key in meta.other}
