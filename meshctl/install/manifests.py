"""The objects that a cluster needs: kinds, rights of the daemons, webhook configurations, the daemons."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from artemon.inject.webhook import webhook_configuration
from artemon.model.definition import definition
from artemon.model.gateway_api import GROUP as GATEWAY_API
from artemon.model.kinds import ACCESS, GATEWAY_API_KINDS, KINDS, PROXY_CONFIG
from artemon.pki.spiffe import SYSTEM_NAMESPACE
from meshctl.install.daemons import daemons, objects
from meshctl.install.gateway import gateway
from meshctl.install.pods import labels
from meshctl.install.values import Values

Object = dict[str, Any]
WEBHOOK, VALIDATION = "artemon-sidecar-injector", "artemon-validator"
VALIDATE = "/validate"
_RIGHTS = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding")
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
        _rule("", ["namespaces", "services"], _READ),
        _rule("", ["events"], ["create"]),
        _rule("networking.k8s.io", ["ingresses", "ingressclasses"], _READ),
        _rule("networking.k8s.io", ["ingresses/status"], ["patch"]),
        _rule(GATEWAY_API, [kind.plural for kind in GATEWAY_API_KINDS], _READ),
        _rule(GATEWAY_API, [f"{kind.plural}/status" for kind in GATEWAY_API_KINDS], ["patch"]),
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
        _rule(PROXY_CONFIG.group, [PROXY_CONFIG.plural], _READ),
    ],
}
"""What each daemon may do in the cluster, and nothing else."""
_SECRETS: Object = _rule("", ["secrets"], [*_READ, "create", "patch", "delete"])
"""What citadeld needs beside, to keep certificates as Secrets."""


@dataclass(frozen=True, slots=True)
class Validator:
    """galleyd, as the API server finds it. ca: the roots (PEM) of its certificate; empty: galleyd itself
    says whom to trust, once it runs."""

    address: str
    ca: bytes = b""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an installation. when: path of the value that switches it on; empty: always there."""

    name: str
    objects: list[Object]
    when: str = ""


def in_cluster(values: Values) -> list[Part]:
    """A whole mesh within a cluster, in the order in which it must be applied."""
    base = manifests(
        injector=f"{SYSTEM_NAMESPACE}/injectord:443", validator=Validator(f"{SYSTEM_NAMESPACE}/galleyd:443")
    )
    kinds = [_kept(one) for one in base if one["kind"] == "CustomResourceDefinition"]
    return [
        Part("namespace", [one for one in base if one["kind"] == "Namespace"]),
        Part("crds", kinds),
        Part("rights", [*(one for one in base if one["kind"] in _RIGHTS), _account("mixerd")]),
        Part("rights-secrets", _role("citadeld", [_SECRETS], "-secrets"), "citadeld.secrets"),
        *(
            Part(one.name, objects(one, values), "mixerd.enabled" if one.name == "mixerd" else "")
            for one in daemons(values)
        ),
        Part("webhooks", [one for one in base if one["kind"].endswith("WebhookConfiguration")]),
        Part("gateway", gateway(values), "gateway.enabled"),
    ]


def everything(values: Values) -> list[Object]:
    """The objects of all parts that are switched on."""
    return [obj for part in in_cluster(values) if values.on(part.when) for obj in part.objects]


def gateway_api_kinds() -> list[Object]:
    """The part of Gateway API that is read, for clusters that have none of it."""
    return [definition(kind) for kind in GATEWAY_API_KINDS]


def _kept(kind: Object) -> Object:
    """Helm leaves it when the chart is uninstalled: with it all objects of the kind would go."""
    metadata = {**kind["metadata"], "annotations": {"helm.sh/resource-policy": "keep"}}
    return {**kind, "metadata": metadata}


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
    bundle = {"caBundle": base64.b64encode(validator.ca).decode()} if validator.ca else {}
    hook = {
        "name": "validation.istio.io",
        "clientConfig": {**client, **bundle},
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
    return [_account(daemon), *_role(daemon, rules)]


def _role(daemon: str, rules: list[Object], suffix: str = "") -> list[Object]:
    name = f"artemon-{daemon}{suffix}"
    account = {"kind": "ServiceAccount", "name": daemon, "namespace": SYSTEM_NAMESPACE}
    return [
        {"apiVersion": f"{_RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules},
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": name},
            "subjects": [account],
        },
    ]


def _account(daemon: str) -> Object:
    metadata = {"name": daemon, "namespace": SYSTEM_NAMESPACE, "labels": labels(daemon)}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


def _client(injector: str) -> Object:
    if injector.startswith("https://"):
        return {"url": injector}
    namespace, _, rest = injector.partition("/")
    name, _, port = rest.partition(":")
    return {"service": {"namespace": namespace, "name": name, "port": int(port or 443)}}
