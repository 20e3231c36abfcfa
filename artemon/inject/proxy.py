"""The settings of the one proxy.

The mesh's, ProxyConfig objects and the pod's annotation on top of each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from artemon.errors import Problem, Refused
from artemon.inject import words
from artemon.model.decode import decode_message, encode_spec
from artemon.model.mesh_proxy import MeshProxyConfig
from artemon.model.proxy_config import LOADER, ProxyConfig
from artemon.model.selector import matches
from artemon.model.yaml_text import parse

_WHERE = f'metadata.annotations["{words.PROXY_CONFIG}"]'


@dataclass(frozen=True, slots=True)
class Located:
    """A ProxyConfig object, and where it is."""

    namespace: str
    name: str
    config: ProxyConfig


def applying(
    found: Iterable[Located], *, namespace: str, labels: Mapping[str, str], root: str
) -> list[ProxyConfig]:
    """The objects that are about a pod, weakest first: the root namespace's, its namespace's, those that
    select it; among equals by name.
    """
    ranked = [
        ((one.config.selector is not None, one.namespace != root, one.name), one.config)
        for one in found
        if one.namespace in {namespace, root} and _selects(one, namespace, labels)
    ]
    return [config for _, config in sorted(ranked, key=lambda pair: pair[0])]


def _selects(one: Located, namespace: str, labels: Mapping[str, str]) -> bool:
    """Selectors reach within their own namespace."""
    selector = one.config.selector
    return selector is None or (one.namespace == namespace and matches(selector.match_labels, labels))


def proxy_settings(
    mesh: MeshProxyConfig, annotations: Mapping[str, str], objects: Iterable[ProxyConfig] = ()
) -> MeshProxyConfig:
    """`mesh` with ProxyConfig objects (weakest first) and `proxy.istio.io/config` on top. Raises Refused."""
    written = encode_spec(mesh)
    for one in objects:
        written = _on_top(written, _as_mesh(one))
    text = annotations.get(words.PROXY_CONFIG)
    if text is not None:
        written = _on_top(written, _read(text))
    settings, problems = decode_message(MeshProxyConfig, written, root=_WHERE)
    if problems or not isinstance(settings, MeshProxyConfig):
        raise Refused(problems)
    return settings


def as_json(settings: MeshProxyConfig) -> str:
    """What differs from Istio's defaults, as PROXY_CONFIG carries it: compact JSON in the schema's order."""
    dumped = settings.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_defaults=True)
    return json.dumps(dumped, separators=(",", ":"), ensure_ascii=False)


def _as_mesh(one: ProxyConfig) -> dict[str, Any]:
    written = encode_spec(one)
    variables = written.pop("environmentVariables", None)
    written.pop("selector", None)
    return {**written, **({"proxyMetadata": variables} if variables else {})}


def _read(text: str) -> dict[str, Any]:
    documents = [document for document in parse(text) if document.value is not None or document.problems]
    if not documents:
        return {}
    wrong = [Problem(_WHERE, f"line {line}: {why}") for line, why in documents[0].problems]
    if len(documents) > 1 or not isinstance(documents[0].value, dict):
        wrong.append(Problem(_WHERE, "must be one mapping"))
    if wrong:
        raise Refused(wrong)
    value: dict[str, Any] = documents[0].value
    told = value.get("proxyMetadata")
    loaders = [str(name) for name in told if str(name).startswith(LOADER)] if isinstance(told, dict) else []
    if loaders:
        why = "decides which code the proxy and its init container load; that is the image's"
        raise Refused([Problem(f"{_WHERE}.proxyMetadata.{name}", why) for name in loaders])
    return value


def _on_top(base: Any, overlay: Any) -> Any:
    """As protobuf merges: messages and maps field by field, everything else replaced."""
    if isinstance(base, dict) and isinstance(overlay, dict):
        return base | {key: _on_top(base.get(key), value) for key, value in overlay.items()}
    return overlay
