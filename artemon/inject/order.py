"""In which order containers start."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from artemon.inject import words
from artemon.inject.words import named

Containers = list[dict[str, Any]]


def put_in_order(spec: dict[str, Any], *, holds: bool, before_proxy: Iterable[str] = ()) -> None:
    """Sort the containers of `spec` in place.

    A proxy that holds applications back comes first, any other last. As an init container it follows
    interception (and `before_proxy`), before all others; without it interception is set up last, so that
    init containers are not cut off from the network.
    """
    if "containers" in spec:
        spec["containers"] = _moved(spec["containers"], [words.PROXY], first=holds)
    init = spec.get("initContainers")
    if not init:
        spec.pop("initContainers", None)
    elif named(init, words.PROXY):
        first = [words.INIT, words.VALIDATION, *before_proxy, words.PROXY]
        spec["initContainers"] = _moved(init, first, first=True)
    else:
        init = _moved(init, [words.VALIDATION], first=True)
        spec["initContainers"] = _moved(init, [words.INIT], first=False)


def _moved(containers: Containers, names: Iterable[str], *, first: bool) -> Containers:
    chosen = [one for name in dict.fromkeys(names) if (one := named(containers, name))]
    others = [one for one in containers if one not in chosen]
    return chosen + others if first else others + chosen
