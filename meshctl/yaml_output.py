"""Objects as YAML that every reader of YAML takes for the same objects."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TextIO

import yaml


class _Dumper(yaml.SafeDumper):
    """Every value written out, and text quoted that any reader of YAML takes for a number."""

    def ignore_aliases(self, data: Any) -> bool:
        """Aliases are never written."""
        return True


_NUMBER = re.compile(r"[-+]?(0[oxb]?[0-9a-fA-F_]+|[0-9][0-9_]*([.][0-9_]*)?([eE][-+]?[0-9]+)?)")
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+0123456789"))


def write_yaml(objects: Iterable[Any], out: TextIO) -> None:
    """Write `objects` as one stream of documents, keys in their own order."""
    yaml.dump_all(
        objects, out, _Dumper, sort_keys=False, allow_unicode=True, width=10**6, explicit_start=True
    )
