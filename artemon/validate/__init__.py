"""One object alone -> what is wrong with it, as Istio's validation tells; pure."""

from __future__ import annotations

from artemon.errors import Problem
from artemon.model.message import Message
from artemon.model.resource import Resource
from artemon.validate.annotations import annotated
from artemon.validate.context import Context, EnvoyParser
from artemon.validate.coverage import untranslated
from artemon.validate.mesh_config import mesh_problems
from artemon.validate.rules import RULES

__all__ = ["Context", "EnvoyParser", "mesh_problems", "problems", "untranslated"]


def problems(resource: Resource[Message], context: Context | None = None) -> list[Problem]:
    """Every error and warning of an object that decoded, in the order of its fields.

    It is invalid when one of them has level `error`. What is valid but not translated is told by
    `untranslated`.
    """
    found = list(annotated(resource))
    found += RULES[resource.kind.unique](resource, context or Context())
    return list(dict.fromkeys(found))
