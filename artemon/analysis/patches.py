"""EnvoyFilters: operations that depend on others, or do nothing."""

from __future__ import annotations

from artemon.analysis.material import Material
from artemon.analysis.things import Finding, Findings, Object, mapping, mappings, text

_PLACED = frozenset({"INSERT_BEFORE", "INSERT_AFTER"})
_ROUTES = frozenset({"ROUTE_CONFIGURATION", "HTTP_ROUTE"})
_FILTERS = frozenset({"HTTP_FILTER", "NETWORK_FILTER"})
_HELP = (
    "Using the INSERT_FIRST or ADD option or setting the priority may help in ensuring the EnvoyFilter is "
    "applied correctly."
)


_RELATIVE = (
    "This EnvoyFilter does not have a priority and has a relative patch operation set which can cause the "
    f"EnvoyFilter not to be applied. {_HELP}"
)
_VERSIONED = (
    "This EnvoyFilter does not have a priority and has a relative patch operation (INSERT_BEFORE/AFTER, "
    "REPLACE, MERGE, DELETE) and proxyVersion set which can cause the EnvoyFilter not to be applied during "
    f"an upgrade. {_HELP}"
)
_IGNORED = "The {} operation will be ignored when applyTo is set to ROUTE_CONFIGURATION, or HTTP_ROUTE."
_REPLACES = "The REPLACE operation is only valid for HTTP_FILTER and NETWORK_FILTER."


def operations(material: Material) -> Findings:
    """IST0151 to IST0155. A patch of a filter that another one patches for some versions alone: IST0155."""
    versioned: set[str] = set()
    for thing in material.of_kind("EnvoyFilter"):
        for index, patch in mappings(thing.spec.get("configPatches")):
            path = f"spec.configPatches[{index}].patch.operation"
            where, done = text(patch.get("applyTo")), text(mapping(patch.get("patch")).get("operation"))
            name, fault = _name(patch), _fault(where, done)
            if fault is not None:
                yield Finding(fault[0], thing, path, fault[1])
            elif done in _PLACED | {"REMOVE", "REPLACE"} and not thing.spec.get("priority"):
                code, message = ("IST0155", _VERSIONED) if name in versioned else ("IST0151", _RELATIVE)
                yield Finding(code, thing, path, message)
            if mapping(mapping(patch.get("match")).get("proxy")).get("proxyVersion"):
                versioned.add(name)


def _fault(where: str, done: str) -> tuple[str, str] | None:
    """What an operation cannot do where it is applied."""
    if done in ("ADD", "REMOVE") and where in _ROUTES:
        return "IST0153" if done == "ADD" else "IST0154", _IGNORED.format(done)
    return ("IST0152", _REPLACES) if done == "REPLACE" and where not in _FILTERS else None


def _name(patch: Object) -> str:
    """Of the filter that a patch is about."""
    value = mapping(mapping(patch.get("patch")).get("value"))
    listener = mapping(mapping(patch.get("match")).get("listener"))
    matched = mapping(mapping(listener.get("filterChain")).get("filter"))
    return text(value.get("name")) or text(matched.get("name"))


ANALYZERS = (operations,)
