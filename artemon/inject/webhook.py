"""The webhook configuration by which the API server asks an injector: whom, for which pods, and what when
it does not answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from artemon.inject import words

Requirement = dict[str, Any]

_NOT_SYSTEM: Requirement = {
    "key": "kubernetes.io/metadata.name",
    "operator": "NotIn",
    "values": sorted(words.SYSTEM_NAMESPACES),
}
DOMAIN = "sidecar-injector.istio.io"


def webhook_configuration(
    name: str,
    client: Mapping[str, Any],
    *,
    revision: str = "default",
    tags: Sequence[str] = (),
    default: bool = True,
    path: str = "/inject",
) -> dict[str, Any]:
    """A MutatingWebhookConfiguration for the injector of `revision`, which answers to `tags` as well.

    client: `{"service": {...}}` or `{"url": ...}` and, when known, `caBundle`. Selectors decide as
    `policy.selected` does; namespaces of the system are never matched, so that the injector's absence cannot
    hold up the cluster's own pods. Elsewhere a pod that asked for a proxy is not started without one.
    """
    hooks = [
        {
            "name": f"{label}.{DOMAIN}",
            "clientConfig": _client(client, path),
            "rules": [
                {
                    "operations": ["CREATE"],
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "resources": ["pods"],
                    "scope": "Namespaced",
                }
            ],
            "namespaceSelector": {"matchExpressions": [*namespaces, _NOT_SYSTEM]},
            "objectSelector": {"matchExpressions": objects},
            "admissionReviewVersions": ["v1"],
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "sideEffects": "None",
            "timeoutSeconds": 10,
        }
        for label, namespaces, objects in _selectors([revision, *tags], default=default)
    ]
    labels = {
        "app": "sidecar-injector",
        words.REVISION: revision,
        **({"istio.io/tag": tags[0]} if tags else {}),
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": name, "labels": labels},
        "webhooks": hooks,
    }


def _client(client: Mapping[str, Any], path: str) -> dict[str, Any]:
    if "service" in client:
        return {**client, "service": {**client["service"], "path": path}}
    return {**client, "url": client["url"].rstrip("/") + path}


def _selectors(
    names: Sequence[str], *, default: bool
) -> Iterator[tuple[str, list[Requirement], list[Requirement]]]:
    """Label, requirements on the namespace, requirements on the pod; the first that fits is asked alone."""
    willing = {"key": words.INJECT, "operator": "NotIn", "values": ["false"]}
    no_injection, no_revision = _absent(words.NAMESPACE_INJECTION), _absent(words.REVISION)
    ours = {"key": words.REVISION, "operator": "In", "values": list(names)}
    yield "rev.namespace", [ours, no_injection], [willing]
    yield "rev.object", [no_revision, no_injection], [willing, ours]
    if default:
        enabled = {"key": words.NAMESPACE_INJECTION, "operator": "In", "values": ["enabled"]}
        wished = {"key": words.INJECT, "operator": "In", "values": ["true"]}
        yield "namespace", [enabled], [willing]
        yield "object", [no_injection, no_revision], [wished, no_revision]


def _absent(key: str) -> Requirement:
    return {"key": key, "operator": "DoesNotExist"}
