"""Rules about reports and requests, and adapters: plug-ins of the entry-point group `artemon.adapters`.

An adapter is one object, `Adapter`: its parameters, the templates that it takes, and what opens a handler.
docs/extend/adapters.md shows one in 30 lines.
"""

from artemon.adapters.api import (
    Adapter,
    Answer,
    Handler,
    Params,
    Place,
    QuotaAnswer,
    Row,
    Unacceptable,
)
from artemon.adapters.templates import TEMPLATES, Shape, Template, Variety
from artemon.errors import Problem

__all__ = [
    "TEMPLATES",
    "Adapter",
    "Answer",
    "Handler",
    "Params",
    "Place",
    "Problem",
    "QuotaAnswer",
    "Row",
    "Shape",
    "Template",
    "Unacceptable",
    "Variety",
]
