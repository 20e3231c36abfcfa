"""The settings of the one proxy.

The mesh's, ProxyConfig objects and the pod's annotation on top of each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from artemon.errors import Problem, Refused
from artemon.inject import words
from artemon.model.decode import decode_message, encode_spec
from artemon.model.mesh_proxy import MeshProxyConfig
from artemon.model.proxy_config import ProxyConfig
from artemon.model.yaml_text import parse

_WHERE = f'metadata.annotations["{words.PROXY_CONFIG}"]'


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
    return value


def _on_top(base: Any, overlay: Any) -> Any:
    """As protobuf merges: messages and maps field by field, everything else replaced."""
    if isinstance(base, dict) and isinstance(overlay, dict):
        return base | {key: _on_top(base.get(key), value) for key, value in overlay.items()}
    return overlay
