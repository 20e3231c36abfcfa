"""Network configurations of a node (CNI specification 1.1.0, section 1): our plug-in behind all others, and
taken out again. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from artemon.errors import ArtemonError

TYPE: Final = "artemon-cni"
SUFFIXES: Final = (".conf", ".conflist", ".json")
"""Of files that runtimes read; they take the first one by its name."""


def chained(text: str, ours: Mapping[str, Any]) -> str:
    """A configuration with our plug-in behind all others, which stay as they are. What is already so comes
    back to the letter. Raises ArtemonError."""
    config = _read(text)
    whole = config if "plugins" in config else _listed(config)
    others = _others(whole)
    if not others:
        raise ArtemonError("has no plug-in that makes a network, behind which ours could stand")
    wanted = {**whole, "plugins": [*others, {**ours, "type": TYPE}]}
    return text if wanted == config else _text(wanted)


def without(text: str) -> str:
    """A configuration without our plug-in, to the letter where it was not there. Raises ArtemonError."""
    config = _read(text)
    if "plugins" not in config or len(_others(config)) == len(config["plugins"]):
        return text
    return _text({**config, "plugins": _others(config)})


def has_ours(text: str) -> bool:
    """Whether our plug-in is in it."""
    try:
        return without(text) != text
    except ArtemonError:
        return False


def first(names: Iterable[str]) -> str:
    """Of the files in a directory the one that counts; "" for none."""
    return min((name for name in names if name.endswith(SUFFIXES)), default="")


def is_list(text: str) -> bool:
    """Whether it has several plug-ins. Raises ArtemonError."""
    return "plugins" in _read(text)


def _read(text: str) -> dict[str, Any]:
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArtemonError(f"is not JSON: {error}") from error
    if not isinstance(config, dict) or not isinstance(config.get("plugins", []), list):
        raise ArtemonError("is no network configuration")
    return config


def _listed(config: dict[str, Any]) -> dict[str, Any]:
    """A plug-in by itself, as a list of one (as libcni reads it)."""
    head: dict[str, Any] = {key: config[key] for key in ("cniVersion", "name") if key in config}
    return {**head, "plugins": [config]}


def _others(config: Mapping[str, Any]) -> list[Any]:
    return [one for one in config["plugins"] if not (isinstance(one, dict) and one.get("type") == TYPE)]


def _text(config: Mapping[str, Any]) -> str:
    return json.dumps(config, indent=2, ensure_ascii=False) + "\n"
