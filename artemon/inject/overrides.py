"""What a pod says of the proxy itself, in a container named `istio-proxy`.

It comes on top of the template.
"""

from __future__ import annotations

from typing import Any

from artemon.inject import words
from artemon.inject.fields import CONTAINER_ORDER
from artemon.inject.merge import merged
from artemon.inject.parts import compact
from artemon.inject.words import named

Container = dict[str, Any]
_LISTS = ("containers", "initContainers")


def reapplied(pod: words.Pod, original: words.Pod, template: words.Pod, *, transparent: bool) -> words.Pod:
    """`pod` with the original's containers on top of the template's of the same name, and a note of them.

    transparent: interception is TPROXY, where the proxy stays root.
    """
    found = {kind: _overrides(kind, original, template) for kind in _LISTS}
    noted = {kind: containers for kind, containers in found.items() if containers}
    if not noted:
        return pod
    pod = merged(pod, {"spec": noted})
    note = compact({kind: [_ordered(one) for one in containers] for kind, containers in noted.items()})
    pod = merged(pod, {"metadata": {"annotations": {words.OVERRIDES: note}}})
    own = (named(original["spec"].get(kind), words.PROXY) for kind in _LISTS)
    _same_user(pod["spec"], next(filter(None, own), None), transparent=transparent)
    return pod


def in_list(container: Container, kind: str) -> Container:
    """`container` as an item of that list: only init containers may restart by themselves."""
    return {key: value for key, value in container.items() if kind != "containers" or key != "restartPolicy"}


def _overrides(kind: str, original: words.Pod, template: words.Pod) -> list[Container]:
    """The original's containers that the template has as well, in whichever list; `auto` is no image."""
    spec = original["spec"]
    found = []
    for container in template.get("spec", {}).get(kind) or ():
        lists = (kind, *(other for other in _LISTS if other != kind))
        own = next((one for name in lists if (one := named(spec.get(name), container["name"]))), None)
        if own is not None:
            kept = {key: value for key, value in own.items() if (key, value) != ("image", words.AUTO_IMAGE)}
            found.append(in_list(kept, kind))
    return found


def _ordered(container: Container) -> Container:
    """As the API's own encoder writes a container: fields in its order, `resources` always."""
    whole = {**container, "resources": container.get("resources") or {}}
    return {key: whole[key] for key in (*CONTAINER_ORDER, *sorted(whole)) if key in whole}


def _same_user(spec: dict[str, Any], own: Container | None, *, transparent: bool) -> None:
    """Interception must leave the proxy's own connections alone, whoever the proxy runs as."""
    context = (own or {}).get("securityContext") or {}
    wanted = {key: context[key] for key in ("runAsUser", "runAsGroup") if context.get(key) is not None}
    init = spec.get("initContainers")
    container = named(init, words.INIT) or named(init, words.VALIDATION)
    if not wanted or container is None:
        return
    proxy = named(spec.get("containers"), words.PROXY) or named(init, words.PROXY)
    if transparent and "runAsUser" in wanted and proxy is not None:
        proxy["securityContext"]["runAsUser"] = 0
    if not transparent and container["name"] == words.VALIDATION:
        container.setdefault("securityContext", {}).update(wanted)
    arguments = container.get("args", [])
    if wanted.get("runAsUser") and "-u" in arguments:
        arguments[arguments.index("-u") + 1] = str(wanted["runAsUser"])
