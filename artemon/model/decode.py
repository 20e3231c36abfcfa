"""Text or JSON values to resources and back, strictly: every problem at once, each with its path."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from artemon.errors import Problem, Refused
from artemon.model import kinds, yaml_text
from artemon.model.envelope import meta_problems, read_meta, write_meta
from artemon.model.limits import too_deep, too_large
from artemon.model.mesh_config import MeshConfig
from artemon.model.message import WIRE, Message
from artemon.model.resource import Kind, Resource
from artemon.model.words import kind_of, path_of

_ENVELOPE = ("apiVersion", "kind", "metadata", "spec", "status")
_SPEC_REQUIRED = {
    kind.unique for kind in kinds.ALL_KINDS if kind.spec.required or kind is kinds.WORKLOAD_ENTRY
}
_RETIRED = {
    "Policy": "PeerAuthentication and RequestAuthentication",
    "MeshPolicy": "PeerAuthentication",
    "ServiceRole": "AuthorizationPolicy",
    "ServiceRoleBinding": "AuthorizationPolicy",
    "ClusterRbacConfig": "AuthorizationPolicy",
    "RbacConfig": "AuthorizationPolicy",
    "QuotaSpec": "a rule that sends a quota",
    "QuotaSpecBinding": "a rule that sends a quota",
    "HTTPAPISpec": "VirtualService",
    "HTTPAPISpecBinding": "VirtualService",
}
_MIXER = {
    **dict.fromkeys(
        ("metric", "logentry", "listentry", "checknothing", "reportnothing", "quota", "authorization"),
        "an instance whose compiledTemplate is",
    ),
    **dict.fromkeys(("prometheus", "statsd", "fluentd", "stdio"), "a handler whose compiledAdapter is"),
    **dict.fromkeys(
        ("denier", "listchecker", "opa", "memquota", "redisquota"), "a handler whose compiledAdapter is"
    ),
    "adapter": "a plug-in of mixerd instead of an",
    "template": "an instance with one of the built-in compiledTemplates instead of a",
}
"""Mixer's kinds of one adapter or template each."""


def load_yaml(text: str, source: str = "") -> list[dict[str, Any]]:
    """The objects in a YAML stream; a `List` stands for its items, empty documents for nothing.

    Raises Refused, naming `source` and line, for what is not YAML, aliases, anchors, duplicate keys, keys
    that are not text, more than 64 levels and more than 256 KiB an object.
    """
    objects: list[dict[str, Any]] = []
    problems: list[Problem] = []
    for document in yaml_text.parse(text):
        found = [
            Problem(f"{source}:{line}" if source else f"line {line}", why) for line, why in document.problems
        ]
        if not found:
            items, refused = unwrap(document.value)
            objects += items
            place = f"{source}:{document.line}" if source else f"line {document.line}"
            found = [Problem(place, str(problem)) for problem in refused]
        problems += found
    if problems:
        raise Refused(problems)
    return objects


def load_json(text: str | bytes, source: str = "") -> Any:
    """One JSON value under the limits of `load_yaml`. Raises Refused."""
    twice: list[str] = []

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) != len(pairs):
            names = [key for key, _ in pairs]
            twice.extend(sorted({name for name in names if names.count(name) > 1}))
        return value

    try:
        value = json.loads(text, object_pairs_hook=once, parse_constant=_not_finite)
    except (ValueError, RecursionError) as error:
        raise Refused([Problem("", f"is not JSON: {error}")], source) from error
    problems = [Problem("", f'key "{name}" is given twice') for name in twice] or list(too_deep(value))
    problems = problems or list(too_large(value))
    if problems:
        raise Refused(problems, source)
    return value


def _not_finite(name: str) -> Any:
    raise ValueError(f"{name} is not a number in JSON")


def unwrap(value: Any) -> tuple[list[dict[str, Any]], list[Problem]]:
    """The objects that one document holds, and what forbids to read it."""
    if value is None:
        return [], []
    if not isinstance(value, dict):
        return [], [Problem("", f"an object must be a mapping, not {kind_of(value)}")]
    if value.get("kind") == "List" and isinstance(value.get("items"), list):
        inner = [unwrap(item) for item in value["items"]]
        return [item for items, _ in inner for item in items], [item for _, bad in inner for item in bad]
    subject = subject_of(value) if value.get("kind") else ""
    large = [Problem(subject, problem.message) for problem in too_large(value)]
    return ([] if large else [value]), large


def decode(obj: Mapping[str, Any], *, namespace: str = "default") -> Resource[Message]:
    """The resource that `obj` (as JSON has it) describes; `namespace` where it names none.

    Raises Refused with every problem of envelope and spec at once, and nothing else for any JSON value.
    """
    if not isinstance(obj, Mapping):
        raise Refused([Problem("", f"an object must be a mapping, not {kind_of(obj)}")])
    obj = dict(obj)
    problems = list(too_deep(obj))
    if problems:
        raise Refused(problems)
    kind, unknown_kind = find_kind(obj)
    problems = [*unknown_kind, *_unknown_fields(obj), *meta_problems(obj.get("metadata"))]
    spec: Message | None = None
    if kind is not None:
        spec, wrong = _spec(kind, obj)
        problems += wrong
    if obj.get("status") is not None and not isinstance(obj["status"], dict):
        problems.append(Problem("status", f"must be a mapping, not {kind_of(obj['status'])}"))
    if problems or kind is None or spec is None:
        raise Refused(problems, subject_of(obj, namespace=namespace))
    return Resource(kind, read_meta(obj["metadata"], namespace), spec, obj.get("status") or {})


def encode(resource: Resource[Message]) -> dict[str, Any]:
    """`resource` as the API shows it, in the kind's preferred version; its spec is what was written."""
    obj: dict[str, Any] = {
        "apiVersion": resource.kind.api_version,
        "kind": resource.kind.name,
        "metadata": write_meta(resource.meta),
        "spec": encode_spec(resource.spec),
    }
    if resource.status:
        obj["status"] = dict(resource.status)
    return obj


def encode_spec(spec: Message) -> dict[str, Any]:
    """The fields of `spec` that were written, in their wire names."""
    return spec.model_dump(mode="json", by_alias=True, exclude_unset=True)


def subject_of(obj: Mapping[str, Any], *, namespace: str = "default") -> str:
    """`Kind/namespace/name` of an object that may be anything."""
    meta = obj.get("metadata")
    meta = meta if isinstance(meta, dict) else {}
    words = (obj.get("kind"), meta.get("namespace") or namespace, meta.get("name"))
    return "/".join(word if isinstance(word, str) and word else "?" for word in words)


def find_kind(obj: Mapping[str, Any]) -> tuple[Kind | None, list[Problem]]:
    """The kind of an object in any accepted version, or why there is none."""
    name, api_version = obj.get("kind"), obj.get("apiVersion")
    if not isinstance(name, str) or not name or not isinstance(api_version, str) or not api_version:
        return None, [
            Problem(field, "is required" if value in (None, "") else f"must be text, not {kind_of(value)}")
            for field, value in (("apiVersion", api_version), ("kind", name))
            if not isinstance(value, str) or not value
        ]
    group, _, version = api_version.rpartition("/")
    kind = kinds.by_name(name, group)
    if kind is not None and version in kind.versions:
        return kind, []
    if kind is not None:
        known = ", ".join(f"{kind.group}/{known}" for known in kind.versions)
        return None, [Problem("apiVersion", f'"{api_version}" is not a version of {name} (known: {known})')]
    return None, [_unknown_kind(name, api_version)]


def _unknown_kind(name: str, api_version: str) -> Problem:
    if name in _RETIRED:
        return Problem("kind", f"{name} was retired by Istio; write {_RETIRED[name]} instead")
    if name in _MIXER and api_version.startswith("config.istio.io/"):
        return Problem("kind", f"{name} is no kind here; write {_MIXER[name]} {name}")
    same = next((kind for kind in kinds.ALL_KINDS if kind.name == name), None)
    if same is not None:
        return Problem("apiVersion", f'"{api_version}" has no {name}; write {same.api_version}')
    near = difflib.get_close_matches(name, [kind.name for kind in kinds.ALL_KINDS], 1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return Problem("kind", f"{name} in {api_version} is not a kind of this mesh{hint}")


def _unknown_fields(obj: Mapping[str, Any]) -> Iterator[Problem]:
    for key in obj:
        if key not in _ENVELOPE:
            near = difflib.get_close_matches(key, _ENVELOPE, 1)
            yield Problem(
                path_of((key,)), "unknown field" + (f' (did you mean "{near[0]}"?)' if near else "")
            )


def _spec(kind: Kind, obj: Mapping[str, Any]) -> tuple[Message | None, list[Problem]]:
    if obj.get("spec") is None and kind.unique in _SPEC_REQUIRED:
        return None, [Problem("spec", "is required")]
    spec = obj.get("spec", {})
    if not isinstance(spec, dict):
        return None, [Problem("spec", f"must be a mapping, not {kind_of(spec)}")]
    return decode_message(kind.spec, spec, root="spec")


def decode_message(
    model: type[Message], value: Any, *, root: str = ""
) -> tuple[Message | None, list[Problem]]:
    """`value` as a `model`, or every problem it has, with paths below `root`."""
    try:
        return model.model_validate(value, context=WIRE), []
    except ValidationError as error:
        return None, [
            Problem(path_of(item["loc"], root), item["msg"]) for item in error.errors(include_url=False)
        ]


def decode_mesh_config(value: Any) -> MeshConfig:
    """MeshConfig from what a user wrote; Istio's defaults stay where nothing is written.

    Extension providers come on top of the default ones, by name (as Istio does). Raises Refused.
    """
    problems = list(too_deep(value)) if isinstance(value, dict) else []
    config, wrong = (None, []) if problems else decode_message(MeshConfig, {} if value is None else value)
    if config is None:
        raise Refused(problems + wrong, "MeshConfig")
    assert isinstance(config, MeshConfig)
    named = {provider.name: provider for provider in MeshConfig().extension_providers}
    named.update((provider.name, provider) for provider in config.extension_providers)
    return config.model_copy(update={"extension_providers": tuple(named.values())})


def load_mesh_config(text: str, source: str = "") -> MeshConfig:
    """MeshConfig from one YAML document; an empty text means all defaults. Raises Refused."""
    documents = load_yaml(text, source)
    if len(documents) > 1:
        raise Refused([Problem("", f"must hold one document, not {len(documents)}")], source)
    return decode_mesh_config(documents[0] if documents else {})
