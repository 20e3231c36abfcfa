"""Whether a JSON value has only fields that Kubernetes' API has, by the models of its own Python client."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from kubernetes import client

_LIST = re.compile(r"list\[(.+)\]")
_MAP = re.compile(r"dict\(str, (.+)\)")


def unknown_fields(value: Any, model: str = "V1Pod", path: str = "") -> Iterator[str]:
    """The path of every field that `model` does not have."""
    if value is None:
        return
    if found := _LIST.fullmatch(model):
        for index, item in enumerate(value):
            yield from unknown_fields(item, found.group(1), f"{path}[{index}]")
        return
    if found := _MAP.fullmatch(model):
        for key, item in value.items():
            yield from unknown_fields(item, found.group(1), f"{path}.{key}")
        return
    kind = getattr(client, model, None)
    if kind is None or not hasattr(kind, "attribute_map"):
        return
    types = {wire: kind.openapi_types[name] for name, wire in kind.attribute_map.items()}
    for key, item in value.items():
        if key not in types:
            yield f"{path}.{key} ({model})"
        else:
            yield from unknown_fields(item, types[key], f"{path}.{key}")
