"""Small rules, handlers and instances, for tests."""

from __future__ import annotations

from typing import Any

from artemon.adapters.rulebook import Rulebook, rulebook
from artemon.model.decode import decode

ROOT = "istio-system"


def obj(kind: str, name: str, spec: dict[str, Any], namespace: str = "shop") -> dict[str, Any]:
    """One object of `config.istio.io`."""
    return {
        "apiVersion": "config.istio.io/v1alpha2",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def rule(
    *actions: tuple[str, str], match: str = "", name: str = "all", namespace: str = "shop", **more: Any
) -> dict[str, Any]:
    """A rule. actions: pairs of handler and instance."""
    made = [{"handler": handler, "instances": [instance]} for handler, instance in actions]
    return obj("rule", name, {"match": match, "actions": made, **more}, namespace)


def handler(name: str, adapter: str, namespace: str = "shop", **params: Any) -> dict[str, Any]:
    """A handler."""
    return obj("handler", name, {"compiledAdapter": adapter, "params": params}, namespace)


def instance(name: str, template: str, namespace: str = "shop", **params: Any) -> dict[str, Any]:
    """An instance."""
    return obj("instance", name, {"compiledTemplate": template, "params": params}, namespace)


def lines(name: str = "out") -> dict[str, Any]:
    """A handler of log entries."""
    return handler(name, "stdio", output_path="lines.json", log_stream="FILE")


def entry(**variables: str) -> dict[str, Any]:
    """An instance of a log entry, named `line`."""
    return instance("line", "logentry", severity='"info"', variables=variables)


def book(*objects: dict[str, Any]) -> Rulebook:
    """All of them, read together."""
    return rulebook([decode(one) for one in objects], root=ROOT)


def problems(*objects: dict[str, Any]) -> list[str]:
    """What is wrong, as people read it."""
    return [f"{ref}: {one}" for ref, found in book(*objects).problems.items() for one in found]
