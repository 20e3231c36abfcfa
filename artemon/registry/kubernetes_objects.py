"""Kubernetes objects, checked and sorted by kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from sys import intern
from typing import Any

from artemon.errors import Problem, Refused

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
Fields = Mapping[str, Any]
Key = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True, slots=True)
class Objects:
    """Kubernetes objects by kind. slices: by the service that they are for. addresses: of pods."""

    services: list[Fields] = field(default_factory=list)
    slices: dict[Key, list[Fields]] = field(default_factory=dict)
    endpoints: dict[Key, Fields] = field(default_factory=dict)
    pods: dict[Key, Fields] = field(default_factory=dict)
    addresses: dict[str, Fields] = field(default_factory=dict)
    nodes: dict[str, Fields] = field(default_factory=dict)


def sort_objects(objects: Iterable[Fields]) -> Objects:
    """Every object where it belongs; namespaces need nothing. Raises Refused with all problems of all."""
    listed = list(objects)
    problems = [problem for one in listed for problem in _problems(one)]
    if problems:
        raise Refused(problems)
    out = Objects()
    for one in listed:
        key = (namespace(one), name(one))
        match one["kind"]:
            case "Service":
                out.services.append(one)
            case "EndpointSlice":
                owner = labels(one).get(SERVICE_NAME_LABEL, "")
                out.slices.setdefault((namespace(one), owner), []).append(one)
            case "Endpoints":
                out.endpoints[key] = one
            case "Pod":
                out.pods[key] = one
                out.addresses.update(dict.fromkeys(pod_addresses(one), one))
            case "Node":
                out.nodes[name(one)] = one
    return out


def name(one: Fields) -> str:
    """The name of an object."""
    return str(one["metadata"]["name"])


def namespace(one: Fields) -> str:
    """The namespace of an object; `default` where none is written."""
    return str(one["metadata"].get("namespace") or "default")


def labels(one: Fields) -> Mapping[str, str]:
    """The labels of an object."""
    found: Mapping[str, str] = one["metadata"].get("labels") or {}
    return found


def notes(one: Fields) -> Mapping[str, str]:
    """The annotations of an object."""
    found: Mapping[str, str] = one["metadata"].get("annotations") or {}
    return found


def pod_addresses(pod: Fields) -> tuple[str, ...]:
    """Every address of a pod, the first one first."""
    status = pod.get("status") or {}
    listed = (each.get("ip") or "" for each in status.get("podIPs") or ())
    return tuple(dict.fromkeys(address for address in (status.get("podIP") or "", *listed) if address))


@dataclass(frozen=True, slots=True)
class _Map:
    """Texts by name."""


_TEXTS, _NUMBER = _Map(), "a port number"
_META = {
    "name!": str,
    "namespace": str,
    "labels": _TEXTS,
    "annotations": _TEXTS,
    "creationTimestamp": str,
    "deletionTimestamp": str,
}
_TARGET = {"kind": str, "name": str, "namespace": str}
_PORT = {"port": _NUMBER, "name": str, "protocol": str, "appProtocol": str}
_ADDRESS = {"ip!": str, "targetRef": _TARGET}
_CONTAINER = {"name": str, "ports": [{"containerPort!": _NUMBER, "name": str, "protocol": str}]}
_SERVICE = {
    "type": str,
    "clusterIP": str,
    "clusterIPs": [str],
    "externalName": str,
    "selector": _TEXTS,
    "publishNotReadyAddresses": bool,
    "ports": [{**_PORT, "port!": _NUMBER, "targetPort": (int, str)}],
}
_SHAPES: Mapping[str, Any] = {
    "Service": {"metadata!": _META, "spec!": _SERVICE},
    "EndpointSlice": {
        "metadata!": _META,
        "addressType": str,
        "ports": [_PORT],
        "endpoints": [
            {
                "addresses": [str],
                "conditions": {"ready": bool, "serving": bool, "terminating": bool},
                "targetRef": _TARGET,
                "zone": str,
                "nodeName": str,
            }
        ],
    },
    "Endpoints": {
        "metadata!": _META,
        "subsets": [{"addresses": [_ADDRESS], "notReadyAddresses": [_ADDRESS], "ports": [_PORT]}],
    },
    "Pod": {
        "metadata!": _META,
        "spec": {
            "serviceAccountName": str,
            "nodeName": str,
            "containers": [_CONTAINER],
            "initContainers": [_CONTAINER],
        },
        "status": {
            "podIP": str,
            "podIPs": [{"ip": str}],
            "phase": str,
            "conditions": [{"type": str, "status": str}],
        },
    },
    "Namespace": {"metadata!": _META},
    "Node": {"metadata!": _META},
}
"""What of each kind is read, and its types; `!` marks what must be there. null counts as absent."""


class Misfit(ValueError):
    """An object has not the shape of its kind."""


class Projected(dict[str, Any]):
    """What `projected` made."""


def projected(one: Fields) -> Fields:
    """Only what is read of an object: others' fields cost memory and change often. Raises Misfit where
    `object_problems` has something to say."""
    if type(one) is Projected:
        return one
    return Projected(kind=one["kind"], **_reader_of(one["kind"])(one))


def projected_if_fit(kind: str, one: dict[str, Any]) -> dict[str, Any]:
    """The same of an object of a list, which says no kind itself; the whole of one that has problems."""
    try:
        return Projected(kind=kind, **_reader_of(kind)(one))
    except Misfit:
        return one


Reader = Callable[[Any], Any]


@cache
def _reader_of(kind: str) -> Reader:
    return _reader(_SHAPES[kind])


def _reader(shape: Any) -> Reader:
    """What reads values of a shape; made once, as clusters have very many objects."""
    if isinstance(shape, dict):
        fields = [(key.rstrip("!"), key.endswith("!"), _reader(inner)) for key, inner in shape.items()]
        return partial(_read_fields, fields)
    if isinstance(shape, list):
        return partial(_read_list, _reader(shape[0]))
    return _read_text if shape is str else partial(_read_value, shape)


def _read_fields(fields: list[tuple[str, bool, Reader]], value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise Misfit
    found = {}
    for name, required, read in fields:
        inner = value.get(name)
        if inner is not None:
            found[name] = read(inner)
        elif required:
            raise Misfit
    return found


def _read_list(read: Reader, value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise Misfit
    return tuple(map(read, value))


def _read_text(value: Any) -> str:
    if type(value) is not str:
        raise Misfit
    return intern(value)


def _read_value(shape: Any, value: Any) -> Any:
    if _misfit(value, shape):
        raise Misfit
    if shape is _TEXTS:
        return {intern(key): intern(text) for key, text in value.items()}
    return intern(value) if type(value) is str else value


def object_problems(one: Fields) -> list[Problem]:
    """What has not the shape of the object's kind."""
    return list(_problems(one))


def _problems(one: Fields) -> Iterator[Problem]:
    meta = one.get("metadata")
    known = meta if isinstance(meta, Mapping) else {}
    subject = f"{one['kind']}/{known.get('namespace') or 'default'}/{known.get('name') or '(unnamed)'}"
    for path, reason in _misfits(one, _SHAPES[one["kind"]], ""):
        yield Problem(f"{subject}: {path}", reason)


def _misfits(value: Any, shape: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(shape, dict):
        yield from _fields(value, shape, path)
    elif isinstance(shape, list):
        if not isinstance(value, list | tuple):
            yield path, "must be a list"
            return
        for index, each in enumerate(value):
            yield from _misfits(each, shape[0], f"{path}[{index}]")
    elif reason := _misfit(value, shape):
        yield path, reason


def _fields(value: Any, shape: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, Mapping):
        yield path, "must be an object"
        return
    for key, inner in shape.items():
        field_name = key.rstrip("!")
        place = f"{path}.{field_name}" if path else field_name
        found = value.get(field_name)
        if found is not None:
            yield from _misfits(found, inner, place)
        elif key.endswith("!"):
            yield place, "is required"


def _misfit(value: Any, shape: Any) -> str:
    if shape is _TEXTS:
        texts = isinstance(value, Mapping) and all(isinstance(each, str) for each in value.values())
        return "" if texts else "must be names with texts"
    if shape is _NUMBER:
        number = isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536
        return "" if number else "must be a port number, 1 to 65535"
    if isinstance(value, bool) and shape is not bool:
        return "must not be true or false"
    return "" if isinstance(value, shape) else f"must be {_WORDS[shape]}"


_WORDS: Mapping[Any, str] = {str: "text", bool: "true or false", (int, str): "a port number or name"}
