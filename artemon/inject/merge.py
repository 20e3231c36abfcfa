"""Strategic merge of pods, as kubectl and the API server do it (Kubernetes, "strategic merge patch").

Lists of named things are merged by their key, all other lists are replaced; an item of the overlay comes
before an item of the base unless the base has both in the other order.
"""

from __future__ import annotations

from typing import Any, Final

_KEYS: Final = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "resourceClaims": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "ports": "containerPort",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
}
"""Field -> the key by which its items are the same."""

_EXCLUSIVE: Final = {"volumes"}
"""Lists of which an item keeps only the fields that the overlay names (`retainKeys`)."""


def merged(base: Any, overlay: Any, field: str = "") -> Any:
    """`base` with `overlay` on top; neither is changed. `None` in the overlay removes a field."""
    if isinstance(base, dict) and isinstance(overlay, dict):
        return _mappings(base, overlay)
    if (
        isinstance(base, list)
        and isinstance(overlay, list)
        and field in _KEYS
        and _keyed(base + overlay, field)
    ):
        return _lists(base, overlay, field)
    return copied(overlay)


def copied(value: Any) -> Any:
    """A JSON value of its own, all the way down."""
    if isinstance(value, dict):
        return {key: copied(inner) for key, inner in value.items()}
    return [copied(inner) for inner in value] if isinstance(value, list) else value


def _mappings(base: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in base.items():
        if key not in overlay:
            out[key] = copied(value)
        elif overlay[key] is not None:
            out[key] = merged(value, overlay[key], key)
    new = {key: value for key, value in overlay.items() if key not in base and value is not None}
    return {**out, **copied(new)}


def _keyed(items: list[Any], field: str) -> bool:
    return all(isinstance(item, dict) and _KEYS[field] in item for item in items)


def _identity(item: dict[str, Any], field: str) -> tuple[Any, ...]:
    """What makes two items the same; one port number may be there for TCP and for UDP."""
    name = item[_KEYS[field]]
    return (name, item.get("protocol", "TCP")) if field == "ports" else (name,)


def _lists(base: list[Any], overlay: list[Any], field: str) -> list[Any]:
    places = {_identity(item, field): place for place, item in reversed(list(enumerate(base)))}
    new = [(_identity(item, field), item) for item in overlay]
    touched = {name for name, _ in new}
    kept = [(places[name], item) for item in base if (name := _identity(item, field)) not in touched]
    changed = [(places.get(name), _item(base, places.get(name), item, field)) for name, item in new]
    out: list[Any] = []
    while kept and changed:
        place = changed[0][0]
        before = place is not None and kept[0][0] < place
        out.append(copied(kept.pop(0)[1]) if before else changed.pop(0)[1])
    return out + [copied(item) for _, item in kept] + [item for _, item in changed]


def _item(base: list[Any], place: int | None, overlay: Any, field: str) -> Any:
    if place is None or (field in _EXCLUSIVE and len(overlay) > 1):
        return copied(overlay)
    return merged(base[place], overlay)
