"""Discovery in both forms: one document for all (aggregated), and one per group and version."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any

from artemon import __version__
from artemon.model.kinds import SECRET
from artemon.model.resource import Kind
from galleyd import catalog

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def wants_aggregated(accept: str) -> bool:
    """Whether a client asks for the aggregated form (and reads version v2 of it)."""
    ranges = [set(part.replace(" ", "").split(";")) for part in accept.split(",")]
    wanted = {"g=apidiscovery.k8s.io", "v=v2", "as=APIGroupDiscoveryList"}
    return any(wanted <= offered for offered in ranges)


def version() -> dict[str, str]:
    """`/version`: Kubernetes clients want a version of Kubernetes whose conventions are kept."""
    return {
        "major": "1",
        "minor": "34",
        "gitVersion": f"v1.34.1+artemon-{__version__}",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": f"{platform.system().lower()}/{platform.machine()}",
    }


def core() -> dict[str, Any]:
    """`/api` in the old form."""
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def groups() -> dict[str, Any]:
    """`/apis` in the old form."""
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [group(name, versions) for name, versions in _all_groups().items()],
    }


def group(name: str, versions: Sequence[str] | None = None) -> dict[str, Any] | None:
    """`/apis/<group>`; None when there is no such group."""
    versions = versions or _all_groups().get(name)
    if not versions:
        return None
    entries = [{"groupVersion": f"{name}/{item}", "version": item} for item in versions]
    return {
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": name,
        "versions": entries,
        "preferredVersion": entries[0],
    }


def resources(group: str, version: str) -> dict[str, Any] | None:
    """`/apis/<group>/<version>` in the old form; None when there is no such version."""
    entries = [entry for item in _resources(group, version) for entry in _old(item)]
    if not entries:
        return None
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/{version}" if group else version,
        "resources": entries,
    }


def aggregated_core() -> dict[str, Any]:
    """`/api` in the aggregated form."""
    return _aggregated({"": ("v1",)})


def aggregated_groups() -> dict[str, Any]:
    """`/apis` in the aggregated form."""
    return _aggregated(_all_groups())


def _all_groups() -> dict[str, tuple[str, ...]]:
    reviews = {group: (version,) for group, version in catalog.REVIEWS}
    return {**catalog.group_versions(), **reviews}


def _resource(kind: Kind, verbs: Sequence[str], *, namespaced: bool, status: bool = False) -> dict[str, Any]:
    return {
        "plural": kind.plural,
        "singular": kind.singular,
        "namespaced": namespaced,
        "kind": kind.name,
        "verbs": list(verbs),
        "shortNames": list(kind.short_names),
        "categories": list(catalog.categories(kind)) if kind.group else [],
        "status": status,
    }


def _resources(group: str, version: str) -> list[dict[str, Any]]:
    if not group and version == "v1":
        return [
            _resource(catalog.NAMESPACE, catalog.NAMESPACE_VERBS, namespaced=False),
            _resource(catalog.EVENT, catalog.EVENT_VERBS, namespaced=True),
            _resource(SECRET, catalog.SECRET_VERBS, namespaced=True),
        ]
    if review := catalog.REVIEWS.get((group, version)):
        name, plural = review
        kind = Kind(name, "", (version,), plural, name.lower(), (), catalog.NAMESPACE.spec)
        return [_resource(kind, ("create",), namespaced=False)]
    return [
        _resource(kind, catalog.VERBS, namespaced=True, status=True)
        for kind in catalog.kinds_of(group, version)
    ]


def _old(item: dict[str, Any]) -> list[dict[str, Any]]:
    shared = {"namespaced": item["namespaced"], "kind": item["kind"]}
    optional = {key: item[key] for key in ("shortNames", "categories") if item[key]}
    whole = {"name": item["plural"], "singularName": item["singular"], "verbs": item["verbs"]}
    entries = [{**whole, **shared, **optional}]
    if item["status"]:
        verbs = list(catalog.STATUS_VERBS)
        entries.append({"name": f"{item['plural']}/status", "singularName": "", "verbs": verbs, **shared})
    return entries


def _with_status(group: str, version: str) -> list[dict[str, Any]]:
    entries = []
    for item in _resources(group, version):
        scope = "Namespaced" if item["namespaced"] else "Cluster"
        kind = {"group": group, "version": version, "kind": item["kind"]}
        entry = {
            "resource": item["plural"],
            "responseKind": kind,
            "scope": scope,
            "singularResource": item["singular"],
            "verbs": item["verbs"],
        }
        entry |= {key: item[key] for key in ("shortNames", "categories") if item[key]}
        if item["status"]:
            verbs = list(catalog.STATUS_VERBS)
            entry["subresources"] = [{"subresource": "status", "responseKind": kind, "verbs": verbs}]
        entries.append(entry)
    return entries


def _aggregated(groups: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    items = [
        {
            "metadata": {"name": name} if name else {},
            "versions": [
                {"version": version, "resources": _with_status(name, version), "freshness": "Current"}
                for version in versions
            ],
        }
        for name, versions in groups.items()
    ]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }
