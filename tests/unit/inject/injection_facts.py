"""What injection made of an object, as the corpus tells it: only what was added or changed."""

from __future__ import annotations

from typing import Any

from artemon.inject.workload import pod_in, pod_path

Facts = dict[str, Any]


def facts_of(before: dict[str, Any], after: dict[str, Any]) -> Facts | None:
    """The facts of one object that makes pods; None for any other."""
    path = pod_path(before)
    if path is None:
        return None
    old, new = pod_in(before, path), pod_in(after, path)
    found: Facts = {"object": f"{before['kind']}/{before['metadata']['name']}", "injected": old != new}
    for kind in ("annotations", "labels"):
        was = (old.get("metadata") or {}).get(kind) or {}
        now = (new.get("metadata") or {}).get(kind) or {}
        found[f"{kind}_added"] = {key: value for key, value in now.items() if was.get(key) != value}
    for kind in ("containers", "initContainers"):
        found |= containers(kind, old["spec"], new["spec"])
    known = [one["name"] for one in old["spec"].get("volumes") or ()]
    found["volumes_added"] = [one for one in new["spec"].get("volumes") or () if one["name"] not in known]
    rest = {"containers", "initContainers", "volumes"}
    found["spec_added"] = {
        key: value for key, value in new["spec"].items() if key not in rest and old["spec"].get(key) != value
    }
    return {key: value for key, value in found.items() if value not in ({}, [])}


def containers(kind: str, old: dict[str, Any], new: dict[str, Any]) -> Facts:
    was = {one["name"]: one for one in old.get(kind) or ()}
    now = {one["name"]: one for one in new.get(kind) or ()}
    changed = {
        name: {key: value for key, value in one.items() if was[name].get(key) != value}
        for name, one in now.items()
        if name in was
    }
    return {
        f"{kind}_order": list(now),
        f"{kind}_added": {name: one for name, one in now.items() if name not in was},
        f"{kind}_changed": {name: fields for name, fields in changed.items() if fields},
    }


def without_empty_resources(facts: Facts) -> Facts:
    """Facts but for `resources.

    {}` on containers that had none: Istio's encoder writes it, it says nothing.
    """
    out = dict(facts)
    for kind in ("containers_changed", "initContainers_changed"):
        fields = {
            name: {key: value for key, value in changed.items() if (key, value) != ("resources", {})}
            for name, changed in facts.get(kind, {}).items()
        }
        out[kind] = {name: changed for name, changed in fields.items() if changed}
    return {key: value for key, value in out.items() if value not in ({}, [])}
