"""Whether an object has the shape of a pod as far as injection reads it; the API server checks the rest."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from typing import Any

from artemon.errors import Problem
from artemon.model.words import kind_of

_NAMED = ("containers", "initContainers", "volumes", "imagePullSecrets")
_OBJECTS = ("readinessProbe", "livenessProbe", "startupProbe", "lifecycle", "securityContext", "resources")


def shape_problems(obj: Mapping[str, Any], pod: Any, path: tuple[str, ...]) -> Iterator[Problem]:
    """Everything that is not what Kubernetes' API has there, each with its path."""
    where = ".".join(path)
    metadata = obj.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        yield Problem("metadata", f"must be a mapping, not {kind_of(metadata)}")
    if not isinstance(pod, dict):
        yield Problem(where, f"must be a mapping, not {kind_of(pod)}")
        return
    yield from _metadata(pod.get("metadata"), f"{where}.metadata".lstrip("."))
    yield from _spec(pod.get("spec"), f"{where}.spec".lstrip("."))


def _metadata(value: Any, where: str) -> Iterator[Problem]:
    if value is None:
        return
    if not isinstance(value, dict):
        yield Problem(where, f"must be a mapping, not {kind_of(value)}")
        return
    for name in ("labels", "annotations"):
        for key, text in _mapping(value.get(name)).items():
            if not isinstance(text, str):
                yield Problem(
                    f'{where}.{name}["{key}"]', f"must be text (put it in quotes), not {kind_of(text)}"
                )
        if not isinstance(value.get(name) or {}, dict):
            yield Problem(f"{where}.{name}", f"must be a mapping, not {kind_of(value[name])}")
    for name in ("name", "namespace", "generateName"):
        if not isinstance(value.get(name) or "", str):
            yield Problem(f"{where}.{name}", f"must be text, not {kind_of(value[name])}")
    references = value.get("ownerReferences") or []
    if not isinstance(references, list) or not all(isinstance(one, dict) for one in references):
        yield Problem(f"{where}.ownerReferences", "must be a list of references")


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _spec(spec: Any, where: str) -> Iterator[Problem]:
    if not isinstance(spec, dict):
        yield Problem(where, "is required" if spec is None else f"must be a mapping, not {kind_of(spec)}")
        return
    for name in _NAMED:
        found = yield from _list(spec.get(name), f"{where}.{name}", key="name")
        if name.lower().endswith("containers"):
            for index, container in enumerate(found):
                yield from _container(container, f"{where}.{name}[{index}]")
    if not isinstance(spec.get("securityContext") or {}, dict):
        yield Problem(
            f"{where}.securityContext", f"must be a mapping, not {kind_of(spec['securityContext'])}"
        )


def _container(container: dict[str, Any], where: str) -> Iterator[Problem]:
    for name, key in (("env", "name"), ("volumeMounts", "mountPath"), ("ports", "containerPort")):
        yield from _list(container.get(name), f"{where}.{name}", key=key)
    for name in _OBJECTS:
        value = container.get(name)
        if not isinstance(value or {}, dict):
            yield Problem(f"{where}.{name}", f"must be a mapping, not {kind_of(value)}")


def _list(value: Any, where: str, *, key: str) -> Generator[Problem, None, list[dict[str, Any]]]:
    if value is None:
        return []
    if not isinstance(value, list):
        yield Problem(where, f"must be a list, not {kind_of(value)}")
        return []
    found = []
    for index, item in enumerate(value):
        if not isinstance(item, dict):
            yield Problem(f"{where}[{index}]", f"must be a mapping, not {kind_of(item)}")
        elif not isinstance(item.get(key), str if key != "containerPort" else int):
            yield Problem(f"{where}[{index}].{key}", "is required" if key not in item else "has a wrong type")
        else:
            found.append(item)
    return found
