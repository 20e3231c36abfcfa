"""What validation says of each object alone: errors (IST0106) and warnings (IST0133, IST0130, IST0131)."""

from __future__ import annotations

from artemon.analysis.material import Material
from artemon.analysis.things import Finding, Findings
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
                told = problem.message
                if code in ("IST0106", "IST0133"):
                    told = f"Schema validation {problem.level}: {told}"
                yield Finding(code, thing, problem.path, told)


def _dead(resource: Resource[Message] | None) -> dict[Problem, str]:
    """Routes (IST0130) and matches (IST0131) that nothing reaches."""
    if resource is None or not isinstance(resource.spec, VirtualService):
        return {}
    spec, found = resource.spec, list[Problem]()
    for kind, routes in (("http", spec.http), ("tls", spec.tls), ("tcp", spec.tcp)):
        found += unreachable(routes, f"spec.{kind}")
    found += shadowed(spec.http, "spec.http")
    return {one: "IST0131" if ".match[" in one.path else "IST0130" for one in found}
