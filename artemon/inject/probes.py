"""Probes and hooks that the kubelet sends over the network, moved to the proxy's agent.

The kubelet has no certificate of the mesh: it asks the agent, which asks the application from inside of the
pod.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from artemon.inject import words
from artemon.inject.parts import compact

Container = dict[str, Any]
_PROBES = {"readinessProbe": "readyz", "livenessProbe": "livez", "startupProbe": "startupz"}
_HOOKS = {"preStop": "prestopz", "postStart": "poststartz"}
_HTTP = ("path", "port", "host", "scheme", "httpHeaders")
PROBERS = "ISTIO_KUBE_APP_PROBERS"


def rewrite_probes(pod: words.Pod, *, port: int) -> str:
    """Point the applications' probes at the agent's `port`, in place, and tell what they were: JSON by path.

    A probe whose port cannot be told stays as it is. Empty when there was nothing to move.
    """
    included = _included(pod.get("metadata", {}).get("annotations") or {})
    moved = {}
    for container in (*_containers(pod["spec"], "initContainers"), *_containers(pod["spec"], "containers")):
        for holder, key, path in _handlers(container):
            found = _told(holder[key], container, included, agent=port)
            if found is not None:
                moved[path] = found
                holder[key] = _to_agent(holder[key], path, port)
    return compact(dict(sorted(moved.items()))) if moved else ""


def _containers(spec: Mapping[str, Any], kind: str) -> list[Container]:
    return [one for one in spec.get(kind) or () if one.get("name") != words.PROXY]


def _handlers(container: Container) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Where a probe or hook is, and the path under which the agent knows it."""
    name = container["name"]
    for key, word in _PROBES.items():
        if isinstance(container.get(key), dict):
            yield container, key, f"/app-health/{name}/{word}"
    lifecycle = container.get("lifecycle") or {}
    for key, word in _HOOKS.items():
        if isinstance(lifecycle.get(key), dict):
            yield lifecycle, key, f"/app-lifecycle/{name}/{word}"


def _told(
    handler: Mapping[str, Any], container: Container, included: frozenset[int], *, agent: int
) -> dict[str, Any] | None:
    """What the agent must do in place of the kubelet; None when the kubelet goes on by itself."""
    kind = next(
        (kind for kind in ("httpGet", "tcpSocket", "grpc") if isinstance(handler.get(kind), dict)), None
    )
    if kind is None:
        return None
    action = handler[kind]
    port = _port(action.get("port"), container)
    if port is None or port == agent or (included and port not in included):
        return None
    timeout = handler.get("timeoutSeconds")
    return {kind: _action(kind, action, port), **({"timeoutSeconds": timeout} if timeout else {})}


def _action(kind: str, action: Mapping[str, Any], port: int) -> dict[str, Any]:
    if kind == "grpc":
        return {"port": port, "service": action.get("service")}
    whole = {**action, "port": port}
    keys = _HTTP if kind == "httpGet" else ("port", "host")
    return {key: whole[key] for key in keys if whole.get(key) not in (None, "", [])}


def _port(written: Any, container: Container) -> int | None:
    """The number of a port that may be written as its name."""
    if isinstance(written, int):
        return written
    if isinstance(written, str) and written.isascii() and written.isdecimal():
        return int(written)
    ports = container.get("ports") or ()
    return next(
        (port.get("containerPort") for port in ports if written and port.get("name") == written), None
    )


def _to_agent(handler: Mapping[str, Any], path: str, port: int) -> dict[str, Any]:
    kept = {key: value for key, value in handler.items() if key not in {"tcpSocket", "grpc", "httpGet"}}
    action = dict(handler.get("httpGet") or {}) | {"path": path, "port": port}
    if action.get("scheme") == "HTTPS":
        action["scheme"] = "HTTP"
    return {**kept, "httpGet": action}


def _included(annotations: Mapping[str, str]) -> frozenset[int]:
    """The only inbound ports that are intercepted; empty means all. The kubelet reaches others directly."""
    text = annotations.get(words.INCLUDE_INBOUND, "*").strip()
    return frozenset() if text in {"*", ""} else frozenset(int(part) for part in text.split(","))
