"""What validation says of each object alone: errors (IST0106) and warnings (IST0133, IST0130, IST0131)."""

from __future__ import annotations

import re
from typing import Any

from artemon.analysis.material import Material
from artemon.analysis.things import Finding, Findings, Thing, listed, mapping, mappings, text
from artemon.errors import Problem
from artemon.model.message import Message
from artemon.model.resource import Resource
from artemon.model.tolerant import decode_tolerantly
from artemon.model.virtual_service import VirtualService
from artemon.validate import Context, problems, untranslated
from artemon.validate.unreachable import shadowed, unreachable


def objects(material: Material, context: Context) -> Findings:
    """Every problem of every object of the mesh's kinds."""
    for kind in sorted({thing.kind for thing in material.things}):
        for thing in material.of_kind(kind):
            decoded = decode_tolerantly(thing.obj, namespace=thing.default)
            found = [*decoded.unknown, *decoded.wrong]
            readable = decoded.resource or decoded.despite
            if readable is not None:
                found += problems(readable, context)
                if decoded.resource and all(problem.level != "error" for problem in found):
                    found += untranslated(decoded.resource)
            dead = _dead(decoded.resource)
            for problem in found:
                code = "IST0106" if problem.level == "error" else dead.get(problem, "IST0133")
                yield Finding(code, thing, problem.path, _told(code, problem, thing))


def _told(code: str, problem: Problem, thing: Thing) -> str:
    """In the words of Istio's messages, which name rules and matches by name or number."""
    reason = problem.message.removeprefix("is ")
    if code == "IST0130":
        return f"VirtualService rule {_names(problem.path, thing)[0]} not used ({reason})."
    if code == "IST0131":
        rule, match = _names(problem.path, thing)
        kind = problem.path.partition("[")[0]
        earlier = re.search(r"in rule (\d+)|\[(\d+)\]\.match", problem.message)
        place = next((one for one in earlier.groups() if one), "") if earlier else ""
        taker = _names(f"{kind}[{place}]", thing)[0] if place else "before"
        where = f"(duplicate/overlapping match in rule {taker})"
        return f"VirtualService rule {rule} match {match} is not used {where}."
    return f"Schema validation {problem.level}: {problem.message}"


def _names(path: str, thing: Thing) -> list[str]:
    """Each rule and match on a path, by its name or `#` and its place."""
    here: Any = thing.spec
    found = []
    for word, place in re.findall(r"(\w+)\[(\d+)\]", path):
        here = listed(mapping(here).get(word))[int(place)]
        found.append(text(mapping(here).get("name")) or f"#{place}")
    return found


def deprecated(material: Material) -> Findings:
    """Fields that go away (IST0002) and that validation says nothing of."""
    for thing in material.of_kind("VirtualService"):
        for index, route in mappings(thing.spec.get("http")):
            delay = mapping(mapping(route.get("fault")).get("delay"))
            if delay.get("percent"):
                path = f"spec.http[{index}].fault.delay.percent"
                message = (
                    "Deprecated: HTTPRoute.fault.delay.percent is deprecated; use fault.delay.percentage"
                )
                yield Finding("IST0002", thing, path, message)


ANALYZERS = (deprecated,)


def _dead(resource: Resource[Message] | None) -> dict[Problem, str]:
    """Routes (IST0130) and matches (IST0131) that nothing reaches."""
    if resource is None or not isinstance(resource.spec, VirtualService):
        return {}
    spec, found = resource.spec, list[Problem]()
    for kind, routes in (("http", spec.http), ("tls", spec.tls), ("tcp", spec.tcp)):
        found += unreachable(routes, f"spec.{kind}")
    found += shadowed(spec.http, "spec.http")
    return {one: "IST0131" if ".match[" in one.path else "IST0130" for one in found}
