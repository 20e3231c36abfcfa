"""The objects that a cluster needs: kinds, rights of the daemons, the webhook configuration."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from artemon.inject.webhook import webhook_configuration
from artemon.model.definition import definition
from artemon.model.kinds import ACCESS, KINDS
from artemon.pki.spiffe import SYSTEM_NAMESPACE

Object = dict[str, Any]
WEBHOOK, VALIDATION = "artemon-sidecar-injector", "artemon-validator"
VALIDATE = "/validate"
_RBAC = "rbac.authorization.k8s.io"
_READ = ["get", "list", "watch"]
_HOOKS = "admissionregistration.k8s.io"


def _rule(group: str, resources: Sequence[str], verbs: Sequence[str]) -> Object:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}


_RULES: dict[str, list[Object]] = {
    "citadeld": [
        _rule("authentication.k8s.io", ["tokenreviews"], ["create"]),
        _rule("", ["pods"], ["list"]),
        _rule("", ["namespaces", "serviceaccounts"], _READ),
        _rule("", ["configmaps"], [*_READ, "create", "patch"]),
    ],
    "pilotd": [
        _rule("", ["services", "pods", "nodes", "namespaces"], _READ),
        _rule("discovery.k8s.io", ["endpointslices"], _READ),
    ],
    "galleyd": [
        _rule("", ["namespaces"], ["get"]),
        _rule(_HOOKS, ["validatingwebhookconfigurations"], [*_READ, "patch"]),
        *(
            rule
            for group in sorted({kind.group for kind in KINDS} - {ACCESS})
            for rule in (
                _rule(group, [kind.plural for kind in KINDS if kind.group == group], _READ),
                _rule(group, [f"{kind.plural}/status" for kind in KINDS if kind.group == group], ["patch"]),
            )
        ),
    ],
    "injectord": [
        _rule(_HOOKS, ["mutatingwebhookconfigurations"], [*_READ, "patch"]),
        _rule("", ["nodes"], ["list"]),
    ],
}
"""What each daemon may do in the cluster, and nothing else."""
_SECRETS: Object = _rule("", ["secrets"], [*_READ, "create", "patch", "delete"])
"""What citadeld needs beside, to keep certificates as Secrets."""


@dataclass(frozen=True, slots=True)
class Validator:
    """galleyd, as the API server finds it. ca: the roots (PEM) of its certificate."""

    address: str
    ca: bytes


def manifests(
    *,
    injector: str,
    revision: str = "default",
    tags: Sequence[str] = (),
    default: bool = True,
    validator: Validator | None = None,
    secrets: bool = False,
) -> list[Object]:
    """Everything, in the order in which it must be applied.

    secrets: whether citadeld may keep certificates as Secrets.
    injector: where the API server finds the webhook, as `https://host:port` or `namespace/service[:port]`.
    """
    suffix = "" if revision == "default" else f"-{revision}"
    webhook = webhook_configuration(
        WEBHOOK + suffix, _client(injector), revision=revision, tags=tags, default=default
    )
    rules = {**_RULES, "citadeld": [*_RULES["citadeld"], *([_SECRETS] if secrets else [])]}
    rights = [one for daemon, granted in rules.items() for one in _rights(daemon, granted)]
    validating = [_validating(validator)] if validator else []
    return [_namespace(), *(definition(kind) for kind in KINDS), *rights, webhook, *validating]


def _validating(validator: Validator) -> Object:
    """Every write of Istio's kinds is galleyd's to judge; what it cannot be asked about is not stored."""
    client = _client(validator.address)
    if "service" in client:
        client["service"]["path"] = VALIDATE
    else:
        client["url"] += VALIDATE
    rule = {
        "operations": ["CREATE", "UPDATE"],
        "apiGroups": sorted({kind.group for kind in KINDS}),
        "apiVersions": ["*"],
        "resources": ["*"],
        "scope": "Namespaced",
    }
    hook = {
        "name": "validation.istio.io",
        "clientConfig": {**client, "caBundle": base64.b64encode(validator.ca).decode()},
        "rules": [rule],
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "timeoutSeconds": 10,
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": VALIDATION},
        "webhooks": [hook],
    }


def _namespace() -> Object:
    """The daemons' own namespace, whose pods wait for no injector."""
    metadata = {"name": SYSTEM_NAMESPACE, "labels": {"istio-injection": "disabled"}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def _rights(daemon: str, rules: list[Object]) -> list[Object]:
    name = f"artemon-{daemon}"
    account = {"kind": "ServiceAccount", "name": daemon, "namespace": SYSTEM_NAMESPACE}
    return [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": daemon, "namespace": SYSTEM_NAMESPACE},
        },
        {"apiVersion": f"{_RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules},
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": name},
            "subjects": [account],
        },
    ]


def _client(injector: str) -> Object:
    if injector.startswith("https://"):
        return {"url": injector}
    namespace, _, rest = injector.partition("/")
    name, _, port = rest.partition(":")
    return {"service": {"namespace": namespace, "name": name, "port": int(port or 443)}}
