"""URI templates (Envoy `uri_template_match`): `*` and `{x}` are a segment, `**` and `{x=**}` are many."""

from __future__ import annotations

import re

from artemon.simulate.values import fits_regex

_VARIABLE = re.compile(r"\{[^{}=]*(?:=(?P<pattern>[^{}]*))?\}")
_OPERATORS = {"**": ".*", "*": "[^/]+"}


def fits_template(template: str, path: str) -> bool:
    """Whether all of a path fits."""
    plain = _VARIABLE.sub(lambda found: found["pattern"] or "*", template)
    parts = re.split(r"(\*\*|\*)", plain)
    return fits_regex("".join(_OPERATORS.get(part, re.escape(part)) for part in parts), path)
